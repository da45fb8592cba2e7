"""Augment the features of one clip, reproducibly from a generator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slt.recipe.data import Augment

Features = NDArray[np.float32]


def augment(
    streams: Sequence[Features],
    settings: Augment,
    spreads: Sequence[Features],
    rng: np.random.Generator,
    *,
    blank: float = 0.0,
) -> tuple[Features, ...]:
    """Return disturbed (M, D) features of (N, D) ones, M at least 1 and at most ``most_rows(N, settings)``.

    Several streams of one clip are played at one speed and cut at one time; all else is drawn for each by itself, so
    that what is hidden in one can be found in the other.

    Args:
        streams: of one clip; not changed.
        settings: how much of what.
        spreads: of each stream, (D,) standard deviation.
        rng: decides everything.
        blank: what a number of the first stream is where nothing was seen; of others it is 0.
    """
    streams = _resampled(streams, settings.rate, rng) if settings.rate else streams
    streams = _cropped(streams, settings.crop, rng) if settings.crop else streams
    blanks = (blank, *(0.0 for _ in streams[1:]))
    triples = zip(streams, spreads, blanks, strict=True)
    return tuple(_disturbed(rows, settings, spread, rng, blank=nothing) for rows, spread, nothing in triples)


def _disturbed(
    rows: Features, settings: Augment, spread: Features, rng: np.random.Generator, *, blank: float
) -> Features:
    if settings.drop:
        kept = rng.random(len(rows)) >= settings.drop
        rows = rows[kept] if kept.any() else rows
    if settings.noise:
        rows = rows + settings.noise * spread * rng.standard_normal(rows.shape, np.float32)
    if settings.feature_dropout:
        rows = np.where(rng.random(rows.shape[1]) >= settings.feature_dropout, rows, blank)
    if settings.mask:
        n_masked = round(len(rows) * settings.mask * rng.random())
        first = int(rng.integers(len(rows) - n_masked + 1))
        rows = np.concatenate([rows[:first], np.full_like(rows[:n_masked], blank), rows[first + n_masked :]])
    return np.ascontiguousarray(rows, np.float32)


def most_rows(n_rows: int, settings: Augment) -> int:
    """Return how many rows ``augment`` may make of ``n_rows``."""
    return round(n_rows * (1 + settings.rate)) if settings.rate else n_rows


def _resampled(streams: Sequence[Features], rate: float, rng: np.random.Generator) -> list[Features]:
    """Play the streams faster or slower, between their rows by linear interpolation."""
    speed = 1 + rng.uniform(-rate, rate)
    return [_read_at(rows, max(1, round(len(rows) * speed))) for rows in streams]


def _read_at(rows: Features, n: int) -> Features:
    places = np.linspace(0, len(rows) - 1, n)
    before = places.astype(int)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (places - before)[:, None].astype(np.float32)
    between = rows[before] * (1 - share) + rows[after] * share
    # What was not seen in one of the two rows has nothing in between: the nearer row's then, seen or not, so that
    # neither what was seen is lost nor what was not seen is made up.
    return np.where(np.isnan(between), np.where(share < 0.5, rows[before], rows[after]), between)


def _cropped(streams: Sequence[Features], share: float, rng: np.random.Generator) -> list[Features]:
    """Keep the rows of one interval of time; which, is drawn in rows of the first stream."""
    whole = len(streams[0])
    n = max(1, whole - round(whole * share * rng.random()))
    first = int(rng.integers(whole - n + 1))
    edges = [(first * len(rows) // whole, -(-(first + n) * len(rows) // whole)) for rows in streams]
    return [rows[start:stop] for rows, (start, stop) in zip(streams, edges, strict=True)]
