"""Write a self-contained HTML report about runs and results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.runs import ENVIRONMENT, OUTCOME, RECIPE
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.compare import Comparison, compare, distinct_names, same_clips
from slt.evaluate.figures import Bar, curves_svg, intervals_svg
from slt.evaluate.results import RESULTS, Results, Sentence, read_results
from slt.evaluate.thumbnails import thumbnails

TEMPLATE = "report.html"
METRICS_CSV = "metrics.csv"
PANELS = ("loss", "cosine", "recall@1", "bleu", "chrf")
"""Metrics of ``metrics.csv`` that are plotted, without the prefix ``train/`` or ``val/``."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Files of a training run.

    Attributes:
        name: name of its folder.
        recipe: text of the recipe; empty if absent.
        environment: hardware and software versions.
        outcome: outcome of the run; empty while it is running.
        curves: panel → curve → (update, value).
    """

    name: str
    recipe: str
    environment: Mapping[str, Any]
    outcome: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One clip in the table of translations.

    Attributes:
        sentence: sentence of the first system.
        picture: thumbnail as a data URI.
        said: sentence of each system.
    """

    sentence: Sentence
    picture: str | None
    said: tuple[Sentence, ...]


def write_report(
    runs: Sequence[Path], out: Path, *, n_pictures: int, progress: Callable[[str, int, int | None], None]
) -> None:
    """Write the report.

    Args:
        runs: training folders, folders with a ``results.json``, or such files; evaluations in subfolders of a
            training are included.
        out: output HTML file.
        n_pictures: maximum number of thumbnails.
        progress: called with (unit, done, total).

    Raises:
        UserError: a folder without results, or results that cannot be read.
    """
    from jinja2 import Environment, StrictUndefined

    trainings, results = gather(runs)
    comparable = len(results) > 1 and same_clips(results)
    groups = [[one] for one in results] if not comparable else [list(results)]
    tables = [
        {"systems": distinct_names(group), "rows": _rows(group, n_pictures // len(groups), progress)}
        for group in groups
    ]
    template = (resources.files("slt.evaluate") / TEMPLATE).read_text("utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters["number"] = number
    html = page.from_string(template).render(
        title=", ".join(dict.fromkeys([*(one.name for one in trainings), *distinct_names(results)])),
        names=distinct_names(results),
        results=results,
        metrics=list({score.name: score.label for one in results for score in one.scores}.items()),
        comparison=_comparison(results) if comparable else None,
        incomparable=len(results) > 1 and not comparable,
        breakdowns=_breakdowns(results),
        trainings=[(one, _plots(one)) for one in trainings],
        tables=tables,
    )
    with atomic_write(out) as file:
        file.write(html.encode("utf-8", "backslashreplace"))


def number(value: float | None, name: str = "") -> str:
    """Format a score."""
    if value is None:
        return "–"
    return f"{value:.3f}" if name == "cosine" else f"{value:.2f}"


def gather(runs: Sequence[Path]) -> tuple[list[Training], list[Results]]:
    """Find trainings and results in folders.

    Raises:
        UserError: a folder with neither, or results that cannot be read.
    """
    trainings, results = [], []
    for path in runs:
        is_training = (path / RECIPE).is_file() or (path / METRICS_CSV).is_file()
        files = [path] if path.is_file() else sorted({*path.glob(RESULTS), *path.glob(f"*/{RESULTS}")})
        if is_training:
            trainings.append(_training(path))
        if not files and not is_training:
            raise UserError(
                f"{path} has nothing to report: neither {RESULTS} nor {METRICS_CSV}",
                fix="give a folder written by `slt evaluate --out` or by a training",
            )
        results += [read_results(file) for file in files]
    return trainings, results


def _training(folder: Path) -> Training:
    recipe = folder / RECIPE
    return Training(
        name=folder.resolve().name,
        recipe=recipe.read_text("utf-8") if recipe.is_file() else "",
        environment=_read_json(folder / ENVIRONMENT),
        outcome=_read_json(folder / OUTCOME),
        curves=read_curves(folder / METRICS_CSV),
    )


def _read_json(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    return found


def read_curves(path: Path) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Read a ``metrics.csv`` with one row per metric or per update: panel → curve → (update, value).

    An incomplete last line, empty cells and non-finite values are ignored.
    """
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    if not path.is_file():
        return panels
    text = path.read_text("utf-8")
    for row in csv.DictReader(text[: text.rfind("\n") + 1].splitlines()):
        cells = {row["figure"]: row.get("value")} if row.get("figure") else row
        for name, cell in cells.items():
            panel = str(name).replace("_", "/").rpartition("/")[2]
            step, value = _finite(row.get("step")), _finite(cell)
            if panel in PANELS and step is not None and value is not None:
                panels.setdefault(panel, {}).setdefault(str(name), []).append((step, value))
    return panels


def _finite(cell: str | None) -> float | None:
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if isfinite(value) else None


def _plots(training: Training) -> list[str]:
    return [
        curves_svg(
            training.curves[panel],
            title=panel,
            alt=f"{panel} of {training.name} over updates: "
            + "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, points in training.curves[panel].items()),
        )
        for panel in PANELS
        if panel in training.curves
    ]


def _comparison(results: Sequence[Results]) -> Comparison:
    base = results[0].resampling
    return compare(results, Resampling(resamples=base.resamples or 1000, trials=2000, seed=base.seed))


def _breakdowns(results: Sequence[Results]) -> list[dict[str, Any]]:
    """Return, per grouping of clips, a plot (if there are few groups) and the systems' groups."""
    found = []
    names = distinct_names(results)
    for by in dict.fromkeys(group.by for one in results for group in one.groups):
        systems = {
            name: [group for group in one.groups if group.by == by] for name, one in zip(names, results, strict=True)
        }
        bars = {name: [_bar(group) for group in groups] for name, groups in systems.items() if groups}
        summary = "; ".join(f"{name}, {bar.label}: {bar.value:.1f}" for name, some in bars.items() for bar in some)
        few = max(map(len, bars.values())) <= 12
        svg = intervals_svg(bars, title=f"BLEU-4 by {by}", alt=f"BLEU-4 by {by}. {summary}") if few else None
        found.append({"by": by, "svg": svg, "systems": systems})
    return found


def _bar(group: Any) -> Bar:
    score = group.scores[0]
    return Bar(label=f"{group.label} ({group.n})", value=score.value, low=score.low, high=score.high)


def _rows(group: Sequence[Results], n_pictures: int, progress: Callable[[str, int, int | None], None]) -> list[Row]:
    pictures = thumbnails(group[0].sentences, n_pictures, progress)
    others = [{one.id: one for one in results.sentences} for results in group]
    return [
        Row(sentence=one, picture=pictures.get(one.id), said=tuple(other[one.id] for other in others))
        for one in group[0].sentences
    ]
