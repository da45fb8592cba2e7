"""What steps wait for is measured, noted and told."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from slt.core.runs import open_run
from slt.recipe.load import to_yaml
from slt.train.loader import Clips
from slt.train.loggers import read_figures
from slt.train.run import train
from slt.train.throughput import told_wait


@pytest.mark.parametrize("slow", [True, False])
def test_waiting_for_data_is_told_when_it_is_long(make, tmp_path, monkeypatch, capsys, slow):
    read = Clips.__getitem__

    def slowly(self, key):
        time.sleep(0.05 if slow else 0)
        return read(self, key)

    monkeypatch.setattr(Clips, "__getitem__", slowly)
    monkeypatch.setattr("slt.train.throughput.ENOUGH", 5)
    monkeypatch.setattr("slt.train.throughput.NOTED_EVERY", 5)
    if not slow:
        monkeypatch.setattr("slt.train.throughput.LONG_WAIT", 0.9)  # reading costs little here, but so does a step
    recipe = make(trainer={"epochs": 4})
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)
    said = capsys.readouterr().err.count("% of the time is waiting for data: set data.workers higher than 0")
    assert said == (1 if slow else 0)
    share = json.loads(run.outcome.read_text())["wait"]
    noted = [float(row["value"]) for row in read_figures(run.metrics) if row["figure"] == "train/wait"]
    assert len(noted) > 2
    assert all(0 < one < 1 for one in [share, *noted])
    assert share > 0.25 or not slow


def test_features_made_from_videos_each_time_are_the_first_thing_to_change():
    source = SimpleNamespace(dataset=SimpleNamespace(corpus=SimpleNamespace(source=object())), num_workers=2)
    assert told_wait(0.4, source) == (
        "40 % of the time is waiting for data: features are made from the videos each time; "
        "slt extract-features makes them once"
    )
