"""Log metrics to CSV, TensorBoard and optionally Weights & Biases, and plot them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.runs import Run

COLUMNS = ("step", "epoch", "figure", "value")
DRAWN = ("loss", "cosine", "recall@1", "bleu", "lr", "clips/s")
FROM_0 = ("recall@1", "bleu", "lr", "clips/s")
_COLOURS = {"train": "tab:blue", "val": "tab:orange"}


class Curves:
    """Notes figures by update; one that is gone on with forgets what lies behind the update it goes on at.

    Args:
        run: its folder.
        step: updates done so far.
        wandb: project to report to as well, or None.
        settings: the recipe, for wandb.

    Raises:
        UserError: wandb was asked for and is not installed.
    """

    def __init__(self, run: Run, *, step: int = 0, wandb: str | None = None, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = run.metrics
        kept = [row for row in read_figures(self._path) if int(row["step"]) <= step] if step else []
        with atomic_write(self._path) as file:
            lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in kept)]
            file.write(("\n".join(lines) + "\n").encode())
        self._board = SummaryWriter(run.folder / "tensorboard", purge_step=step + 1 if step else None)
        self._wandb = _wandb_run(run.folder, wandb, settings) if wandb else None

    def note(self, figures: Mapping[str, float], *, step: int, epoch: float) -> None:
        """Append figures, ``train/loss`` say."""
        with open(self._path, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                (step, f"{epoch:.4f}", name, f"{value:.6g}") for name, value in figures.items()
            )
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log({**figures, "epoch": epoch}, step=step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_figures(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``; a last line that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    text = path.read_text("utf-8")
    rows = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [row for row in rows if all(row.get(name) for name in COLUMNS)]


def draw_curves(run: Run) -> None:
    """Draw ``training.png`` of what ``metrics.csv`` holds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves: dict[str, list[tuple[int, float]]] = {}
    for row in read_figures(run.metrics):
        curves.setdefault(row["figure"], []).append((int(row["step"]), float(row["value"])))
    panels = {title: found for title in DRAWN if (found := _panel(curves, title))}
    rows = -(-max(len(panels), 1) // 2)
    figure = Figure(figsize=(10, 0.6 + 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(run.folder.resolve().name)
    updates = max((points[-1][0] for points in curves.values()), default=1)
    for place, (title, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, 2, place)
        for name, points in lines.items():
            seldom = name.startswith("val")
            style = {"linewidth": 2, "marker": "."} if seldom else {"linewidth": 1, "alpha": 0.8}
            axes.plot(*zip(*points, strict=True), label=name, color=_COLOURS.get(name.partition("/")[0]), **style)
        axes.set(title=title, xlabel="updates", xlim=(0, 1.02 * updates), ylim=(0, None) if title in FROM_0 else None)
        axes.grid(alpha=0.3)
        if len(lines) > 1:
            axes.legend(fontsize="small")
    with atomic_write(run.folder / "training.png") as file:
        figure.savefig(file, format="png", dpi=110)


def _panel(curves: Mapping[str, list[tuple[int, float]]], title: str) -> dict[str, list[tuple[int, float]]]:
    """Return the curves that belong under a title; of learning rates that are always the same, one."""
    if title != "lr":
        return {name: points for name, points in curves.items() if name.partition("/")[2] == title}
    found: dict[str, list[tuple[int, float]]] = {}
    for name, points in curves.items():
        if name.startswith("lr/") and points not in found.values():
            found[name.removeprefix("lr/").removesuffix("/decay")] = points
    return found


def _wandb_run(folder: Path, project: str, settings: Mapping[str, Any]) -> Any:
    try:
        wandb: Any = import_module("wandb")  # not among what slt needs; fairseq2 brings it
    except ImportError as error:
        raise UserError(
            "trainer.wandb is set, but wandb is not installed", fix="pip install wandb, or remove trainer.wandb"
        ) from error
    from slt.core.home import is_offline

    mode: Any = "offline" if is_offline() else os.environ.get("WANDB_MODE", "online")
    return wandb.init(
        project=project, dir=folder, name=folder.name, id=folder.name, resume="allow", mode=mode, config=dict(settings)
    )
