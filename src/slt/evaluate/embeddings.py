"""Compare sign encoders by their embeddings of the same clips, in numbers and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.evaluation import EvaluationData
from slt.evaluate.results import identity_of
from slt.evaluate.retrieval import retrieval, unit_rows
from slt.evaluate.sonar_space import norms_of, space_scores
from slt.evaluate.text_metrics import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = NDArray[np.float32]
MAX_DRAWN = 200
"""Maximum number of clips in a plotted cosine matrix."""


@dataclass(frozen=True, kw_only=True)
class EncoderEmbeddings:
    """Embeddings of N clips by one encoder.

    Attributes:
        name: name of the model.
        predicted: (N, D) float32, embeddings of the clips.
        targets: (N, D) float32, embeddings of the references by the model's text encoder.
    """

    name: str
    predicted: Table
    targets: Table


@dataclass(frozen=True, kw_only=True)
class EmbeddingComparison:
    """Comparison of encoders.

    Attributes:
        n: number of clips that all encoders could read.
        sha256: hash of these clips and their references.
        left_out: ids of the other clips.
        scores: model → cosine, recall and xsim, with intervals.
        norms: model → norms and anisotropies.
        explained: model → fraction of the variance on the two plotted axes.
        agreement: model → cosine and recall between its embeddings and the first encoder's; empty if widths differ.
    """

    n: int
    sha256: str
    left_out: tuple[str, ...]
    scores: Mapping[str, Sequence[Score]]
    norms: Mapping[str, Mapping[str, float]]
    explained: Mapping[str, float]
    agreement: Mapping[str, Mapping[str, float]]


def common_clips(
    names: Sequence[str], read: Sequence[EvaluationData]
) -> tuple[list[EncoderEmbeddings], list[str], str]:
    """Select the clips that all encoders could read.

    Returns:
        The embeddings, ids of the excluded clips, and the hash of the others.

    Raises:
        UserError: a model has no text encoder, or no clip is left.
    """
    sides, failed = [], [np.array([one.failure is not None for one in material.sentences]) for material in read]
    good = ~np.logical_or.reduce(failed)
    if not good.any():
        raise UserError("no clip could be read by all of the models", fix="run slt evaluate on each model to see why")
    for name, material in zip(names, read, strict=True):
        if material.predicted is None or material.targets is None:
            raise UserError(
                f"found no SONAR text encoder in the model {name}, expected one to embed the references",
                fix="import it with one; models with a T5 or mBART decoder cannot be compared",
            )
        sides.append(EncoderEmbeddings(name=name, predicted=material.predicted[good], targets=material.targets[good]))
    sentences = read[0].sentences
    common = [one for one, there in zip(sentences, good, strict=True) if there]
    return sides, [one.id for one, there in zip(sentences, good, strict=True) if not there], identity_of(common)


def describe(
    sides: Sequence[EncoderEmbeddings], left_out: Sequence[str], sha256: str, resampling: Resampling
) -> EmbeddingComparison:
    """Compute the scores of encoders.

    Raises:
        UserError: non-finite embeddings.
    """
    first = sides[0]
    return EmbeddingComparison(
        n=len(first.predicted),
        sha256=sha256,
        left_out=tuple(left_out),
        scores={one.name: space_scores(one.predicted, one.targets, resampling)[0] for one in sides},
        norms={one.name: norms_of(one.predicted, one.targets) for one in sides},
        explained={one.name: projection(np.concatenate([one.predicted, one.targets]))[1] for one in sides},
        agreement={one.name: _agreement(first.predicted, one.predicted) for one in sides[1:]},
    )


def projection(table: Table) -> tuple[NDArray[np.float64], float]:
    """Project (N, D) rows on their first two principal components: (N, 2), and the explained fraction of variance."""
    centred = table.astype(np.float64) - table.astype(np.float64).mean(0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(directions[:2, np.abs(directions[:2]).argmax(1)].diagonal())  # deterministic signs
    total = float((values**2).sum())
    return centred @ (directions[:2] * signs[:, None]).T, float((values[:2] ** 2).sum() / total) if total else 1.0


def draw(sides: Sequence[EncoderEmbeddings], folder: Path) -> list[Path]:
    """Plot cosines between clips and references, and the projection, as PNG and SVG."""
    drawings = {"cosines": _matrices(sides), "projection": _projections(sides)}
    written = []
    for name, figure in drawings.items():
        for kind in ("png", "svg"):
            with atomic_write(folder / f"{name}.{kind}") as file:
                figure.savefig(file, format=kind, dpi=140, metadata={"Date": None} if kind == "svg" else None)
            written.append(folder / f"{name}.{kind}")
    return written


def _agreement(ours: Table, theirs: Table) -> dict[str, float]:
    if ours.shape != theirs.shape:
        return {}
    found = retrieval(ours, theirs)
    return {"cosine": found.cosine, "recall@1": found.recall_at_1}


def _matrices(sides: Sequence[EncoderEmbeddings]) -> Figure:
    figure, places = _panels(sides)
    image: Any = None
    for side, axes in zip(sides, places, strict=True):
        ours, theirs = unit_rows(side.predicted[:MAX_DRAWN], side.name), unit_rows(side.targets[:MAX_DRAWN], side.name)
        image = axes.imshow(ours @ theirs.T, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        axes.set(title=side.name, xlabel="reference", ylabel="clip")
    figure.colorbar(image, ax=list(places), label="cosine", shrink=0.8)
    return figure


def _projections(sides: Sequence[EncoderEmbeddings]) -> Figure:
    figure, places = _panels(sides)
    for side, axes in zip(sides, places, strict=True):
        points, share = projection(np.concatenate([side.predicted, side.targets]))
        clips, texts = np.split(points, 2)
        for clip, text in zip(clips, texts, strict=True):
            axes.plot(*zip(clip, text, strict=True), color="0.75", linewidth=0.5, zorder=1)
        axes.scatter(*clips.T, s=10, marker="o", label="clips")
        axes.scatter(*texts.T, s=10, marker="x", label="references")
        axes.set(title=f"{side.name}: {100 * share:.0f} % of the variance", aspect="equal")
        axes.legend()
    return figure


def _panels(sides: Sequence[EncoderEmbeddings]) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(sides), 4.6), layout="constrained")
    return figure, list(figure.subplots(1, len(sides), squeeze=False)[0])
