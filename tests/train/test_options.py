"""What a recipe may ask for besides: each does what it says and changes nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from slt.core.errors import Stopped, UserError
from slt.core.runs import Run, open_run
from slt.recipe.load import to_yaml
from slt.train.dry_run import random_targets
from slt.train.loggers import read_figures
from slt.train.loop import check_compiler
from slt.train.prepare import prepare
from slt.train.run import build_module, train
from tests.train.conftest import SHAPE
from tests.train.whole import figures_of, finish

SURE = {**SHAPE, "vocab_size": 4}  # no dropout


def weights(run: Run):
    return torch.load(run.last, weights_only=True)["state_dict"]


def assert_same_weights(found, expected, *, atol):
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=atol)


def test_small_batches_accumulated_and_recomputed_learn_what_large_ones_do(make, tmp_path):
    ends = []
    for clips, checkpointing in ((8, False), (3, True)):
        data = {"batch_clips": clips}
        per_epoch = prepare(make(data=data), random_targets, processes=1).batches.per_epoch
        recipe = make(
            encoder={"kind": "sonar-t5", "shape": SURE, "checkpointing": checkpointing},
            objective={"kind": "sonar-space", "mse": 1.0, "cross_entropy": 0.2},
            data=data,
            optim={"accumulate": per_epoch, "lr": 3e-4},
            trainer={"epochs": 3},
        )
        ends.append((finish(recipe, tmp_path / str(clips)), per_epoch))
    (large, few), (small, many) = ends
    assert few < many
    assert_same_weights(weights(small), weights(large), atol=1e-5)
    ours, theirs = (torch.load(run.last, weights_only=True)["optimizer_states"][0]["state"] for run in (small, large))
    for index, moments in theirs.items():  # in which the gradients' scale shows
        torch.testing.assert_close(ours[index]["exp_avg"], moments["exp_avg"], rtol=1e-3, atol=5e-6)


@pytest.mark.slow
def test_bf16_learns_and_goes_on_as_if_it_had_not_been_stopped(make, tmp_path, monkeypatch):
    recipe = make(
        encoder={"kind": "sonar-t5", "shape": {**SURE, "dropout_rate": 0.1}},
        optim={"ema": 0.9},
        trainer={"precision": "bf16", "epochs": 8, "validate_every": 2},
    )
    straight = finish(recipe, tmp_path / "straight")
    losses = figures_of(straight, "val/mse")
    assert losses[-1] < 0.5 * losses[0]
    assert all(weight.dtype == torch.float32 for weight in weights(straight).values())
    (tmp_path / "stop").touch()
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    with pytest.raises(Stopped, match="stopped as asked"):
        train(recipe, run)
    monkeypatch.delenv("SLT_STOP_FILE")
    train(recipe, run)
    assert_same_weights(weights(run), weights(straight), atol=1e-6)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.slow
def test_a_compiled_encoder_learns_what_another_does_and_is_saved_under_the_same_names(make, tmp_path):
    mlp = {"kind": "mlp", "shape": {"hidden_dim": 8}}
    plain, compiled = (
        finish(make(encoder=mlp, trainer={"compile": how}), tmp_path / str(how)) for how in (False, True)
    )
    assert_same_weights(weights(compiled), weights(plain), atol=1e-5)
    assert (compiled.bundle / "encoder.safetensors").is_file()


def test_compiling_where_nothing_can_is_refused_before_anything_is_trained(make, monkeypatch):
    recipe = make(trainer={"compile": True})
    prepared = prepare(recipe, random_targets, processes=1)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"trainer\.compile needs a compiler, and there is no g\+\+ here"):
        build_module(recipe, prepared)
    monkeypatch.setenv("CC", "/bin/true")
    monkeypatch.setattr("slt.train.loop.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs triton, which this environment was made without"):
        check_compiler(torch.device("cuda"))


@pytest.mark.slow
def test_signals_let_it_save_leave_with_75_and_end_the_same(make, tmp_path, warm):
    recipe = make(
        encoder={"kind": "sonar-t5", "shape": {**SURE, "dropout_rate": 0.1}},
        trainer={"epochs": 30, "validate_every": 10},
    )
    straight = finish(recipe, tmp_path / "straight")
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    steps = [0]
    for number in (signal.SIGTERM, signal.SIGUSR1):
        code, said = signalled(warm, run, number, after=steps[-1])
        assert code == 75, said
        assert f"{number.name} came" in said
        steps.append(torch.load(run.last, weights_only=True)["global_step"])
    assert 0 < steps[1] < steps[2] < torch.load(straight.last, weights_only=True)["global_step"]
    train(recipe, run)
    assert_same_weights(weights(run), weights(straight), atol=1e-6)


def signalled(warm, run, number, *, after):
    """Go on with a run in a process of its own; send it a signal once it has done more than ``after`` updates."""
    log = run.folder.with_name(f"until-{number.name}")
    process = warm.start(["train-encoder", "--resume", str(run.folder)], log)
    until = time.monotonic() + 240
    while time.monotonic() < until and Path(f"/proc/{process}").exists():
        if any(int(row["step"]) > after for row in read_figures(run.metrics)):
            os.kill(process, number)
            break
        time.sleep(0.02)
    code = warm.wait()
    return code, log.with_name(f"{log.name}.err").read_text("utf-8")


@pytest.mark.slow
def test_weights_and_biases_keeps_a_run_on_this_machine_when_asked(make, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = finish(make(trainer={"wandb": "signs"}), tmp_path / "run")
    (log,) = (run.folder / "wandb").glob("offline-run-*/run-*.wandb")
    noted = log.read_bytes()
    assert b"val/cosine" in noted
    assert b"signs" in noted


def test_without_weights_and_biases_its_absence_is_told_before_training(make, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="wandb is set, but wandb is not installed") as raised:
        finish(make(trainer={"wandb": "signs"}), tmp_path / "run")
    assert "pip install wandb" in raised.value.fix
    assert not (tmp_path / "run" / "checkpoints").exists() or not any((tmp_path / "run" / "checkpoints").iterdir())
