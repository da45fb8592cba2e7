"""`slt launch slurm` on the Slurm that this machine belongs to; a cluster of one node with two cores will do.

    make slurm-test                       # or with SLT_SIF=slt.sif: the trainings run in that image

Everything is real: the queue, the jobs, their signals, and what they compute. Without a Slurm all of it is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from slt.data.features.store import FeatureStore
from slt.recipe.load import load_recipe, to_yaml

SLT = str(Path(sys.executable).with_name("slt"))
PATIENCE_S = 900
SIF = os.environ.get("SLT_SIF")
# Small enough for a minute, long enough to be interrupted.
TRAINING = ["train-encoder", "synthetic", "--set", "trainer.epochs=8", "--set", "trainer.validate_every=4"]
TRAINING += ["--set", "data.batch_clips=4", "--set", "trainer.device=cpu", "--set", "optim.warmup_steps=5"]

pytestmark = pytest.mark.skipif(
    not shutil.which("sinfo") or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
    reason="no Slurm answers here",
)


def slt(*words: str) -> str:
    """Run a command in the working folder, with one thread, as the jobs have; returns what it printed.

    Sums over numbers shared out among another number of threads differ in their last bits.
    """
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([SLT, *words], check=True, stdout=subprocess.PIPE, text=True, env=alone).stdout


def launch(*words: str) -> str:
    """Put one job into the queue; returns its number."""
    return slt("launch", "slurm", "--cpus", "1", "--time", "30", *words).split("\t")[1].strip()


def state(job: str) -> str:
    """Return the states of a job's tasks that are still in the queue."""
    done = subprocess.run(["squeue", "--noheader", "--format=%T", "--job", job], capture_output=True, text=True)
    return " ".join(done.stdout.split())


def wait_until(happened: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE_S} s"
        time.sleep(0.2)


def wait_for_end(job: str) -> None:
    wait_until(lambda: not state(job), f"the end of job {job}")


def log_of(name: str) -> str:
    """Return all that was logged under a name."""
    return "".join(path.read_text() for path in sorted(Path("runs/launch", name).glob("*.log")))


@pytest.fixture(scope="module", autouse=True)
def corpus(tmp_path_factory):
    """Drawn clips and their features, in a working folder that jobs see too."""
    folder = Path(os.environ.get("SLT_SHARED", tmp_path_factory.mktemp("slurm")))
    before = Path.cwd()
    os.chdir(folder)
    slt("prepare", "synthetic", "--out", "corpus", "--clips", "80")
    for split in ("train", "val"):
        slt("extract-features", f"corpus/{split}.tsv", "--model", "demo", "--out", f"features/{split}")
    yield
    os.chdir(before)


def test_an_array_with_one_task_killed_and_repeated_equals_a_single_run():
    words = ["--name", "array", "--array", "4", "--", "extract-features", "corpus/train.tsv", "--model", "demo"]
    job = launch(*words, "--out", "features/shared")
    wait_until(lambda: log_of("array") or Path("features/shared").is_dir(), "the first task's work")
    subprocess.run(["scancel", "--signal=KILL", f"{job}_1"], check=True)
    wait_for_end(job)
    assert len(FeatureStore.open(Path("features/shared"))) < len(FeatureStore.open(Path("features/train")))
    wait_for_end(launch(*words, "--out", "features/shared"))
    shared, single = FeatureStore.open(Path("features/shared")), FeatureStore.open(Path("features/train"))
    assert sorted(shared.ids) == sorted(single.ids)
    assert all(np.array_equal(shared[clip], single[clip]) for clip in single.ids)


def encoder(run: str) -> dict[str, np.ndarray]:
    """Return the weights that a training ended with."""
    return load_file(Path(run, "bundle", "encoder.safetensors"))


def updates(run: str) -> int:
    path = Path(run, "metrics.csv")
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_training_that_is_asked_to_stop_goes_on_and_ends_as_an_undisturbed_one():
    where = ["--image", SIF] if SIF else []
    wait_for_end(launch(*where, "--name", "straight", "--", *TRAINING, "--out", "runs/straight"))
    job = launch(*where, "--name", "asked", "--", *TRAINING, "--out", "runs/asked")
    wait_until(lambda: updates("runs/asked") > 5, "the first updates")
    subprocess.run(["scancel", "--signal=USR1", "--batch", job], check=True)
    wait_until(lambda: state(job) == "PENDING", "the job's return into the queue")
    wait_for_end(job)
    assert "resuming after update" in log_of("asked")
    straight, asked = encoder("runs/straight"), encoder("runs/asked")
    assert straight.keys() == asked.keys()
    assert all(np.array_equal(straight[name], asked[name]) for name in straight)


def test_two_processes_train_one_model():
    where = ["--image", SIF] if SIF else []
    job = launch(*where, "--name", "two", "--processes", "2", "--cpus", "2", "--", *TRAINING, "--out", "runs/two")
    wait_for_end(job)
    found = Path("runs/two/outcome.json")
    assert found.exists(), log_of("two")
    # Each brings as many clips to a batch as one alone, so an epoch has fewer updates.
    alone = json.loads(Path("runs/straight/outcome.json").read_text())["steps"]
    assert json.loads(found.read_text())["steps"] < alone
    assert all(np.isfinite(weight).all() for weight in encoder("runs/two").values())


STEPS = """
steps:
  prepare: {run: prepare synthetic --out p/corpus --clips 60}
  extract: {run: extract-features p/corpus/train.tsv --model demo --out p/train, after: [prepare], array: 2}
  extract-val: {run: extract-features p/corpus/val.tsv --model demo --out p/val, after: [prepare]}
  embed: {run: embed-text p/corpus/train.tsv p/corpus/val.tsv --lang eng_Latn --out p/embeddings, after: [prepare]}
  train: {run: train-encoder recipe.yaml --out p/run, after: [extract, extract-val, embed]}
  evaluate: {run: evaluate --model p/run --manifest p/corpus/test.tsv --out p/figures, after: [train]}
"""


def test_a_pipeline_goes_from_nothing_to_figures():
    places = "data.train.manifest=p/corpus/train.tsv data.train.features=p/train data.val.manifest=p/corpus/val.tsv"
    settings = f"{places} data.val.features=p/val data.embeddings=p/embeddings trainer.epochs=2 data.batch_clips=8"
    Path("recipe.yaml").write_text(to_yaml(load_recipe("synthetic", "train-encoder", settings.split())))
    Path("steps.yaml").write_text(STEPS)
    jobs = dict(
        line.split("\t") for line in slt("launch", "slurm", "--cpus", "1", "pipeline", "steps.yaml").splitlines()
    )
    assert list(jobs) == ["prepare", "extract", "extract-val", "embed", "train", "evaluate"]
    wait_for_end(jobs["evaluate"])
    figures = Path("p/figures/results.json")
    assert figures.exists(), log_of("steps")
    assert json.loads(figures.read_text())["scores"]


def test_what_comes_after_a_failed_step_does_not_run():
    failing = "steps:\n  first: {run: extract-features nowhere.tsv --out q/x}\n"
    Path("steps.yaml").write_text(failing + "  second: {run: prepare synthetic --out q/c --clips 1, after: [first]}\n")
    jobs = dict(
        line.split("\t") for line in slt("launch", "slurm", "--cpus", "1", "pipeline", "steps.yaml").splitlines()
    )
    wait_for_end(jobs["second"])
    assert not Path("q/c").exists()
    assert "nowhere.tsv" in log_of("steps")
