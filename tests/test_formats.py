"""Files that earlier versions wrote are read: a bundle, a feature store, a run folder, and results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from slt.core.runs import find_run
from slt.data.features.store import FeatureStore
from slt.evaluate.results import read_results
from slt.pipeline.translator import Translator
from slt_cli.main import main

GOLDEN = Path(__file__).parent / "golden" / "formats"


@pytest.fixture
def before(tmp_path, monkeypatch):
    """A copy of what was written, in the current folder: the run names its files relative to it."""
    folder = shutil.copytree(GOLDEN, tmp_path / "before")
    monkeypatch.chdir(folder)
    return folder


def test_a_bundle_and_a_store(before):
    found = Translator("bundle", device="cpu").translate("clip1.mp4")
    np.testing.assert_allclose(found.features, np.load("clip1.features.npy"), atol=1e-5)
    store = FeatureStore.open(Path("store"))
    assert sorted(store.ids) == ["clip0", "clip1", "clip2"]
    assert (store.header.extractor, store.header.feature_dim, store.header.dtype) == ("signhiera", 32, "float16")
    np.testing.assert_allclose(store["clip1"], found.features, atol=2e-3)
    assert main(["evaluate", "--model", "bundle", "--manifest", "clips.tsv", "--features", "store"]) == 0


def test_results(before, capsys):
    results = read_results(Path("scores"))
    assert [one.id for one in results.sentences] == ["clip0", "clip1", "clip2"]
    shutil.copytree("scores", "again")
    assert main(["compare", "scores", "again", "--trials", "10", "--resamples", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["report", "scores", "--out", "report.html"]) == 0
    assert "clip1" in Path("report.html").read_text("utf-8")


def test_an_evaluation_goes_on_from_the_log_of_its_clips(before, capsys):
    log = Path("scores/decoded.jsonl").read_bytes()
    # Two of three clips' videos are gone: without the log they would fail.
    words = ["evaluate", "--model", "bundle", "--device", "cpu", "--manifest", "clips.tsv", "--out", "scores"]
    assert main([*words, "--resamples", "50"]) == 0
    assert Path("scores/decoded.jsonl").read_bytes() == log


@pytest.mark.slow
def test_a_run_that_was_stopped(before, capsys):
    """Its checkpoint is after the second of three epochs."""
    assert main(["report", "run", "--out", "report.html"]) == 0
    run = find_run(Path("run"))
    first = Translator(run.folder, device="cpu").translate("clip1.mp4").embedding
    assert main(["train-encoder", "--resume", "run"]) == 0
    assert "run/bundle" in capsys.readouterr().out
    epochs = {row.split(",")[1] for row in run.metrics.read_text().splitlines()[1:]}
    assert max(map(float, epochs)) == 3
    trained = Translator(run.folder, device="cpu").translate("clip1.mp4").embedding
    assert first.shape == trained.shape
