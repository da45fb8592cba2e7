"""Confidence intervals by bootstrap resampling over clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000
"""Cells of the (resamples, clips) table in memory at a time: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """Settings of confidence intervals and significance tests; results are reproducible.

    Attributes:
        resamples: number of bootstrap samples of the clips; 0: no intervals.
        trials: number of trials of approximate randomisation.
        seed: random seed of both.
    """

    resamples: int = 1000
    trials: int = 10_000
    seed: int = 12345


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two systems on the same clips.

    Attributes:
        value: score of the second minus score of the first.
        low, high: 95 % interval of the difference.
        p_bootstrap: p-value of the paired bootstrap test.
        p_randomisation: p-value of approximate randomisation.
    """

    value: float
    low: float
    high: float
    p_bootstrap: float
    p_randomisation: float


def resampled_totals(statistics: Floats, resampling: Resampling) -> Floats:
    """Sum (N, K) statistics over bootstrap samples of the N rows: (resamples, K)."""
    n_rows = len(statistics)
    rng = np.random.default_rng(resampling.seed)
    at_once = max(1, CELLS_AT_ONCE // n_rows)
    parts = []
    for start in range(0, resampling.resamples, at_once):
        drawn = rng.integers(0, n_rows, (min(at_once, resampling.resamples - start), n_rows))
        times = np.stack([np.bincount(row, minlength=n_rows) for row in drawn])  # counts of each row
        parts.append(times.astype(np.float64) @ statistics)
    return np.concatenate(parts) if parts else np.zeros((0, statistics.shape[1]))


def interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % percentile interval of resampled scores."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def compare_statistics(
    first: Floats, second: Floats, score: Callable[[Floats], Floats], resampling: Resampling
) -> Difference:
    """Compare two systems on the same clips.

    Args:
        first: (N, K) statistics of one system.
        second: (N, K) statistics of the other on the same clips.
        score: summed statistics (…, K) → scores (…).
        resampling: settings of the tests.

    Reference:
        Koehn 2004; Riezler and Maxwell 2005: shift to the null hypothesis and ``(count + 1) / (n + 1)``, as in
        sacrebleu.
    """
    n_columns = first.shape[1]
    observed = float(score(second.sum(0)) - score(first.sum(0)))
    totals = resampled_totals(np.concatenate([first, second], axis=1), resampling)
    differences = score(totals[:, n_columns:]) - score(totals[:, :n_columns])
    low, high = interval(differences)
    return Difference(
        value=observed,
        low=low,
        high=high,
        p_bootstrap=_p_value(differences - differences.mean(), observed),
        p_randomisation=_p_value(_swapped(first, second, score, resampling), observed),
    )


def _swapped(first: Floats, second: Floats, score: Callable[[Floats], Floats], resampling: Resampling) -> Floats:
    """Return the (trials,) differences after swapping each clip's two outputs at random."""
    rng = np.random.default_rng(resampling.seed + 1)
    apart, total = second - first, (first + second).sum(0)
    at_once = max(1, CELLS_AT_ONCE // len(first))
    parts = []
    for start in range(0, resampling.trials, at_once):
        n_trials = min(at_once, resampling.trials - start)
        swaps = rng.integers(0, 2, (n_trials, len(first)), np.int8)
        ours = first.sum(0) + swaps.astype(np.float64) @ apart
        parts.append(score(total - ours) - score(ours))
    return np.concatenate(parts)


def _p_value(null: Floats, observed: float) -> float:
    # Tolerance: swapping all clips gives the same difference up to rounding.
    return (int((np.abs(null) >= abs(observed) - 1e-9).sum()) + 1) / (len(null) + 1)
