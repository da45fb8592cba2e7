"""Whole trainings, and the figures that they noted."""

from __future__ import annotations

from pathlib import Path

from slt.core.runs import Run, open_run
from slt.recipe.load import to_yaml
from slt.recipe.schema import Recipe
from slt.train.loggers import read_figures
from slt.train.run import train


def finish(recipe: Recipe, folder: Path) -> Run:
    """Train to the end, or to where it is stopped; return the run."""
    run = open_run(folder, to_yaml(recipe))
    train(recipe, run)
    return run


def figures_of(run: Run, name: str, of: str = "value") -> list[float]:
    """Return all values of a figure, in order; or the updates or epochs ``of`` which they are."""
    return [float(row[of]) for row in read_figures(run.metrics) if row["figure"] == name]
