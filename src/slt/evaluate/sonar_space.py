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
    """Values of a learned metric for N translations.

    Attributes:
        name, label, signature: as in ``Score``.
        values: (N,) float64.
    """

    name: str
    label: str
    signature: str
    values: Floats


def space_scores(predicted: Table, targets: Table, resampling: Resampling) -> tuple[list[Score], Floats]:
    """Score embeddings against those of the references.

    Args:
        predicted: (N, D) float32; zero rows for failed clips, which never retrieve their target.
        targets: (N, D) float32.
        resampling: settings of confidence intervals; retrieval always uses all clips.

    Returns:
        The scores, and the (N,) cosines.

    Raises:
        UserError: non-finite rows.
    """
    ours, theirs = unit_rows(predicted, "the model's embeddings"), unit_rows(targets, "the references' embeddings")
    cosines, rank = (ours * theirs).sum(1), ranks(ours, theirs)
    among = f"among:{len(ours)} references"
    made = [_metric("cosine", "cosine to the reference", "of:sentence embeddings", cosines)]
    made += [_metric(f"recall@{k}", f"recall@{k}", f"by:cosine|{among}", 100.0 * (rank <= k)) for k in (1, 5, 10)]
    margin = f"margin:ratio|k:4|{among}"
    made.append(_metric("xsim_error", "xsim error", margin, 100.0 * xsim_misses(ours, theirs), lower_is_better=True))
    return score_statistics(made, resampling), cosines


def learned_scores(metrics: Iterable[LearnedMetric], resampling: Resampling) -> list[Score]:
    """Compute the mean and interval of learned metrics, all on the same clips."""
    made = [_metric(one.name, one.label, one.signature, one.values) for one in metrics]
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
    """Return the mean norm and anisotropy of the embeddings of clips and references, ignoring zero rows.

    The embeddings of a collapsed sign encoder have a much larger anisotropy than the references.
    """
    found: dict[str, float] = {}
    for name, table in (("predicted", predicted), ("reference", targets)):
        if table is None:
            continue
        nonzero = table[table.any(1)].astype(np.float64)
        found[f"norm_{name}"] = float(np.linalg.norm(nonzero, axis=1).mean()) if len(nonzero) else 0.0
        found[f"anisotropy_{name}"] = anisotropy(nonzero)
    return found


def anisotropy(table: NDArray[np.float64]) -> float:
    """Return the mean cosine between different rows: 0 for isotropic embeddings, 1 for equal ones.

    Reference:
        Ethayarajh 2019.
    """
    n = len(table)
    if n < 2:
        return 0.0
    total = unit_rows(table, "embeddings").sum(0)
    return float((total @ total - n) / (n * (n - 1)))
