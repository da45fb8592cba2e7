"""``--dry-run``, to the letter; what depends on the machine is masked."""

from __future__ import annotations

import re

import yaml

from slt.core.config import parse
from slt.recipe.schema import Recipe
from slt.train.dry_run import dry_run

SHOWN = """\
parameter groups:
  encoder/decay: 7,360 numbers, lr 0.0006, weight decay 0.01
  encoder/no-decay: 144 numbers, lr 0.0006, weight decay 0
  trained: 7,504 of 21,488 numbers
24 clips in 6 batches, 1.8 % padding; 18 updates in 3 epochs
memory: 0.1 MB of weights, 0.1 MB of gradients and averages, 0.4 MB in all at the peak of a step of \
6 clips × 9 time steps, computed; a GPU needs about 1.00 GB more for CUDA
memory: N in all at the peak of such steps, measured
time: N for that batch on this cpu, so about N of training, without validation
"""


def test_what_would_be_done_is_shown_and_nothing_is_written(make, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make(optim={"lr_factors": {"encoder": 0.2}}, trainer={"epochs": 3})
    dry_run(recipe)
    whole, _, shown = capsys.readouterr().out.partition("\n\n")
    assert parse(Recipe, yaml.safe_load(whole), where="what is shown") == recipe
    measured = r"[\d.]+ (?:[MG]B|s|min|h)(?= (?:in all at the peak of such|for that batch|of training))"
    assert re.sub(measured, "N", shown) == SHOWN
    assert not list(tmp_path.iterdir())
