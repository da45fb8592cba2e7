"""Retrieval metrics: distance of embeddings to their targets, recall and xSIM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError

Floats = NDArray[np.float32] | NDArray[np.float64]

XSIM_NEIGHBOURS = 4
ROWS_AT_ONCE = 1024
NOWHERE = np.iinfo(np.int64).max
SAME = 1e-6
"""Cosines that differ by less count as equal: equal targets must not be told apart by rounding."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How N predicted embeddings lie to their N targets.

    Attributes:
        n: how many there are.
        cosine: mean cosine of each to its own target.
        recall_at_1, recall_at_5, recall_at_10: percent whose own target is among so many nearest by cosine.
        median_rank: of the own target, from 1.
        xsim_error: percent whose best target by margin is another one; lower is better.
    """

    n: int
    cosine: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    xsim_error: float


def retrieval(predicted: Floats, targets: Floats) -> Retrieval:
    """Look each predicted embedding's target up among all targets.

    A target that is equal to the own one, as of a sentence that occurs twice, counts as the own one.

    Args:
        predicted: (N, D) floating, row by row of the same clips as
        targets: (N, D) floating.

    Raises:
        UserError: other shapes, no row, or rows that are not finite.

    Reference:
        xsim: Artetxe and Schwenk 2019 (ratio margin, 4 neighbours), as in LASER.
    """
    ours, theirs = unit_rows(predicted, "predicted embeddings"), unit_rows(targets, "target embeddings")
    if ours.shape != theirs.shape:
        raise UserError(f"embeddings of shape {ours.shape} against targets of shape {theirs.shape}")
    rank = ranks(ours, theirs)
    return Retrieval(
        n=len(ours),
        cosine=float((ours * theirs).sum(1).mean()),
        recall_at_1=100 * float((rank <= 1).mean()),
        recall_at_5=100 * float((rank <= 5).mean()),
        recall_at_10=100 * float((rank <= 10).mean()),
        median_rank=float(np.median(rank)),
        xsim_error=100 * float(xsim_misses(ours, theirs).mean()),
    )


def unit_rows(embeddings: Floats, what: str) -> NDArray[np.float64]:
    """Return (N, D) float64 rows of length 1; a row of zeros stays one.

    Raises:
        UserError: not a table of embeddings, an empty one, or with rows that are not finite.
    """
    table = np.asarray(embeddings, np.float64)
    if table.ndim != 2 or not table.size:
        raise UserError(f"{what}: expected a table of (clips, dimensions), found one of shape {table.shape}")
    broken = np.flatnonzero(~np.isfinite(table).all(1))
    if len(broken):
        named = ", ".join(map(str, broken[:5])) + (", …" if len(broken) > 5 else "")
        raise UserError(
            f"{what}: {len(broken)} of {len(table)} rows are not finite (NaN or infinite): rows {named}",
            fix="the model is broken: train it with a lower learning rate, or in float32",
        )
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0, norms, 1)


def ranks(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (N,) the place, from 1, of each row's own target among all, by cosine; rows of length 1.

    A row of zeros, which is no direction at all, comes after any number of them.
    """
    found = []
    for start, similarities in _blocks(ours, theirs):
        rows = np.arange(len(similarities))
        own = similarities[rows, start + rows]
        found.append(1 + (similarities > own[:, None] + SAME).sum(1))
    return np.where(ours.any(1), np.concatenate(found), NOWHERE)


def xsim_misses(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether the target of the best margin is another than the own; rows of length 1.

    The margin is the cosine over the mean of both sides' mean cosine to their nearest neighbours. Zeros always miss.
    """
    k = min(XSIM_NEIGHBOURS, len(theirs))
    crowding = np.concatenate([np.sort(part, axis=1)[:, -k:].mean(1) for _, part in _blocks(theirs, ours)])
    missed = []
    for start, similarities in _blocks(ours, theirs):
        rows = np.arange(len(similarities))
        near = np.argpartition(similarities, -k, axis=1)[:, -k:]
        cosines = np.take_along_axis(similarities, near, 1)
        scale = (cosines.mean(1, keepdims=True) + crowding[near]) / 2
        margins = cosines / np.where(scale == 0, 1, scale)
        best = near[rows, margins.argmax(1)]
        same = (theirs[best] * theirs[start + rows]).sum(1) > 1 - SAME
        missed.append((best != start + rows) & ~same)
    return np.concatenate(missed) | ~ours.any(1)


def _blocks(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield (first row, cosines of some rows of ours to all of theirs)."""
    for start in range(0, len(ours), ROWS_AT_ONCE):
        yield start, ours[start : start + ROWS_AT_ONCE] @ theirs.T
