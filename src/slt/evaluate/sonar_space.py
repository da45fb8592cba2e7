"""Evaluate a system in SONAR space: distance of its embeddings to those of the references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.evaluate.bootstrap import Resampling
from slt.evaluate.retrieval import ranks, unit_rows, xsim_misses
from slt.evaluate.text_metrics import Metric, Score, mean_score, per_sentence, score_statistics

Table = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LearnedMetric:
    """What a trained metric makes of N translations.

    Attributes:
        name, label, signature: as of a ``Score``.
        values: (N,).
    """

    name: str
    label: str
    signature: str
    values: Floats


def space_scores(predicted: Table, targets: Table, resampling: Resampling) -> tuple[list[Score], Floats]:
    """Score embeddings against those of the references.

    Args:
        predicted: (N, D); a row of zeros for a clip that failed, which finds nothing.
        targets: (N, D).
        resampling: of the clips; who is near whom is judged among all of them.

    Returns:
        The scores, and the (N,) cosines.

    Raises:
        UserError: rows that are not finite.
    """
    ours, theirs = unit_rows(predicted, "the model's embeddings"), unit_rows(targets, "the references' embeddings")
    cosines, rank = (ours * theirs).sum(1), ranks(ours, theirs)
    among = f"among:{len(ours)} references"
    made = [_metric("cosine", "cosine to the reference", "of:sentence embeddings", cosines)]
    made += [_metric(f"recall@{k}", f"recall@{k}", f"by:cosine|{among}", 100.0 * (rank <= k)) for k in (1, 5, 10)]
    margin = f"margin:ratio|k:4|{among}"
    made.append(_metric("xsim_error", "xsim error", margin, 100.0 * xsim_misses(ours, theirs), lower_is_better=True))
    return score_statistics(made, resampling), cosines


def learned_scores(judged: Iterable[LearnedMetric], resampling: Resampling) -> list[Score]:
    """Score translations by what others make of them; all of the same clips."""
    made = [_metric(one.name, one.label, one.signature, one.values) for one in judged]
    return score_statistics(made, resampling)


def _metric(
    name: str, label: str, signature: str, values: NDArray[Any], *, lower_is_better: bool = False
) -> tuple[Metric, Floats]:
    statistics = per_sentence(values.astype(np.float64))
    metric = Metric(
        name=name,
        label=label,
        signature=partial(str, signature),
        statistics=lambda _: statistics,
        score=mean_score,
        lower_is_better=lower_is_better,
    )
    return metric, statistics


def norms_of(predicted: Table | None, targets: Table | None) -> Mapping[str, float]:
    """Return how long the embeddings are, and how much all of a side point one way: 0 not at all, 1 are all the same.

    A sign encoder that has collapsed shows here: its embeddings are far more alike than the references'.
    """
    found: dict[str, float] = {}
    for side, table in (("predicted", predicted), ("reference", targets)):
        if table is None:
            continue
        there = table[table.any(1)].astype(np.float64)
        found[f"norm_{side}"] = float(np.linalg.norm(there, axis=1).mean()) if len(there) else 0.0
        found[f"anisotropy_{side}"] = anisotropy(there)
    return found


def anisotropy(table: NDArray[np.float64]) -> float:
    """Return the mean cosine between two different rows.

    Reference:
        Ethayarajh 2019.
    """
    n = len(table)
    if n < 2:
        return 0.0
    total = unit_rows(table, "embeddings").sum(0)
    return float((total @ total - n) / (n * (n - 1)))
