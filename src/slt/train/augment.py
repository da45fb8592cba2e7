"""Disturbs the features of one clip, so that no two epochs show the same; decided by a generator alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt.recipe.schema import Augment

Features = NDArray[np.float32]


def augment(features: Features, settings: Augment, spread: Features, rng: np.random.Generator) -> Features:
    """Return disturbed (M, D) features of (N, D) ones, M at least 1 and at most ``most_rows(N, settings)``.

    Args:
        features: of one clip; not changed.
        settings: how much of what.
        spread: (D,) standard deviation of the features.
        rng: decides everything.
    """
    rows = _resampled(features, settings.rate, rng) if settings.rate else features
    rows = _cropped(rows, settings.crop, rng) if settings.crop else rows
    if settings.drop:
        kept = rng.random(len(rows)) >= settings.drop
        rows = rows[kept] if kept.any() else rows
    if settings.noise:
        rows = rows + settings.noise * spread * rng.standard_normal(rows.shape, np.float32)
    if settings.feature_dropout:
        rows = rows * (rng.random(rows.shape[1]) >= settings.feature_dropout)
    if settings.mask:
        n_masked = round(len(rows) * settings.mask * rng.random())
        first = int(rng.integers(len(rows) - n_masked + 1))
        rows = np.concatenate([rows[:first], np.zeros_like(rows[:n_masked]), rows[first + n_masked :]])
    return np.ascontiguousarray(rows, np.float32)


def most_rows(n_rows: int, settings: Augment) -> int:
    """Return how many rows ``augment`` may make of ``n_rows``."""
    return round(n_rows * (1 + settings.rate)) if settings.rate else n_rows


def _resampled(rows: Features, rate: float, rng: np.random.Generator) -> Features:
    """Play the rows faster or slower, between them by linear interpolation."""
    n = max(1, round(len(rows) * (1 + rng.uniform(-rate, rate))))
    places = np.linspace(0, len(rows) - 1, n)
    before = places.astype(int)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (places - before)[:, None].astype(np.float32)
    return rows[before] * (1 - share) + rows[after] * share


def _cropped(rows: Features, share: float, rng: np.random.Generator) -> Features:
    n = max(1, len(rows) - round(len(rows) * share * rng.random()))
    first = int(rng.integers(len(rows) - n + 1))
    return rows[first : first + n]
