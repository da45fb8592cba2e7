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
NOT_FOUND = np.iinfo(np.int64).max
TOLERANCE = 1e-6
"""Cosines that differ by less are equal, so that rounding does not separate equal targets."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Retrieval of N targets by N predicted embeddings.

    Attributes:
        n: number of embeddings.
        cosine: mean cosine to the own target.
        recall_at_1, recall_at_5, recall_at_10: percent whose target is among the k nearest by cosine.
        median_rank: median rank of the own target, from 1.
        xsim_error: percent whose best target by margin is wrong; lower is better.
    """

    n: int
    cosine: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    xsim_error: float


def retrieval(predicted: Floats, targets: Floats) -> Retrieval:
    """Retrieve the target of each predicted embedding among all targets.

    Targets equal to the own one, such as those of repeated sentences, count as correct.

    Args:
        predicted: (N, D) float embeddings of the clips.
        targets: (N, D) float embeddings of their references.

    Raises:
        UserError: different shapes, no rows, or non-finite rows.

    Reference:
        xsim: Artetxe and Schwenk 2019 (ratio margin, 4 neighbours), as in LASER.
    """
    ours, theirs = unit_rows(predicted, "predicted embeddings"), unit_rows(targets, "target embeddings")
    if ours.shape != theirs.shape:
        raise UserError(f"found embeddings of shape {ours.shape}, expected {theirs.shape} as the targets")
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
    """Return (N, D) float64 rows of unit norm; zero rows stay zero.

    Raises:
        UserError: not a non-empty table of embeddings, or non-finite rows.
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
    """Return the (N,) int64 rank, from 1, of each row's own target by cosine, for rows of unit norm.

    A zero row has the maximum rank.
    """
    found = []
    for start, similarities in _blocks(ours, theirs):
        rows = np.arange(len(similarities))
        own = similarities[rows, start + rows]
        found.append(1 + (similarities > own[:, None] + TOLERANCE).sum(1))
    return np.where(ours.any(1), np.concatenate(found), NOT_FOUND)


def xsim_misses(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) bool, True if the target of the largest margin is wrong, for rows of unit norm.

    The margin is the cosine divided by the mean of both sides' mean cosine to their neighbours. Zero rows always miss.
    """
    k = min(XSIM_NEIGHBOURS, len(theirs))
    density = np.concatenate([np.sort(part, axis=1)[:, -k:].mean(1) for _, part in _blocks(theirs, ours)])
    missed = []
    for start, similarities in _blocks(ours, theirs):
        rows = np.arange(len(similarities))
        near = np.argpartition(similarities, -k, axis=1)[:, -k:]
        cosines = np.take_along_axis(similarities, near, 1)
        scale = (cosines.mean(1, keepdims=True) + density[near]) / 2
        margins = cosines / np.where(scale == 0, 1, scale)
        best = near[rows, margins.argmax(1)]
        same = (theirs[best] * theirs[start + rows]).sum(1) > 1 - TOLERANCE
        missed.append((best != start + rows) & ~same)
    return np.concatenate(missed) | ~ours.any(1)


def _blocks(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield (index of the first row, cosines of a block of our rows to all of theirs)."""
    for start in range(0, len(ours), ROWS_AT_ONCE):
        yield start, ours[start : start + ROWS_AT_ONCE] @ theirs.T
