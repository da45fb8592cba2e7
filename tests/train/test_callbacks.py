"""What is kept, when, and what a run goes on with."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from slt.core.errors import UserError
from slt.core.runs import open_run
from slt.recipe.load import to_yaml
from slt.train.callbacks import steps_done
from slt.train.run import train
from slt.train.validation import validate
from tests.train.whole import figures_of, finish


@pytest.fixture
def judged(monkeypatch):
    """Let validations find these values of cosine, one after the other, and the last of them from then on."""

    def with_values(*values):
        left = list(values)

        def found(*args, **keywords):
            value = left.pop(0) if len(left) > 1 else left[0]
            real = validate(*args, **keywords)
            return replace(real, figures={**real.figures, "cosine": value})

        monkeypatch.setattr("slt.train.run.validate", found)

    return with_values


def kept(run):
    return sorted(path.name for path in run.checkpoints.glob("best-*"))


def steps_validated(run):
    """Return the updates after which it was validated."""
    return [int(step) for step in figures_of(run, "val/recall@1", of="step")]


def test_of_equals_the_first_is_kept_and_no_number_is_worst(make, tmp_path, judged):
    judged(math.nan, 0.5, 0.5, 0.4)
    run = finish(make(trainer={"epochs": 5, "keep": 1}), tmp_path / "run")
    second = steps_validated(run)[1]
    assert kept(run) == [f"best-{second:08d}.safetensors"]
    assert json.loads(run.outcome.read_text())["best"] == kept(run)[0]


def test_a_run_that_ended_early_and_was_killed_trains_no_more(make, tmp_path, judged):
    judged(0.5, 0.4, 0.3)
    recipe = make(trainer={"epochs": 9, "patience": 2})
    run = finish(recipe, tmp_path / "run")
    validated, best = steps_validated(run), kept(run)
    assert len(validated) == 3
    run.outcome.unlink()
    shutil.rmtree(run.bundle)
    train(recipe, open_run(run.folder, to_yaml(recipe)))
    assert (steps_validated(run), kept(run)) == (validated, best)
    assert run.outcome.is_file()


def test_all_processes_save_by_the_clock_of_any(make, tmp_path, monkeypatch):
    """The other process's clock says that it is time: this one's own never does."""
    saved = []
    monkeypatch.setattr("slt.train.callbacks.summed", lambda flags: flags + torch.tensor([0.0, 1.0]))
    monkeypatch.setattr("slt.train.callbacks.Judge.tidy", lambda judge: saved.append(judge.n_validations))
    run = finish(make(trainer={"epochs": 1, "save_every_s": 1e6}), tmp_path / "run")
    n_batches = torch.load(run.last, weights_only=True)["n_batches"]
    assert len(saved) == n_batches


def test_another_number_of_processes_cannot_go_on_with_a_run(make, tmp_path):
    run = finish(make(trainer={"epochs": 1}), tmp_path / "run")
    assert steps_done(run.last, 1) == steps_validated(run)[-1]
    with pytest.raises(UserError, match="started by 1 processes, found 2"):
        steps_done(run.last, 2)


def test_a_rise_longer_than_the_training_is_told(make, tmp_path, capsys):
    finish(make(trainer={"epochs": 1}, optim={"warmup_steps": 500}), tmp_path / "run")
    assert "warmup_steps is 500, and there are" in capsys.readouterr().err
