"""Motion of the signer in each frame, relative to the rest of the video."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.video.base import Frame

Picture: TypeAlias = NDArray[np.float32]
"""(SIDE, SIDE) float32, small, grey and soft: hands are a few pixels, grain and compression are averaged away."""

SIDE = 32
SOFTNESS = 0.7
"""Pixels (standard deviation) over which a picture is blurred, so that a shaking camera changes it evenly."""

CONTRAST = 40.0
"""Standard deviation of every picture's grey levels, their mean being 0: a passing cloud is no motion."""

LEAST_CONTRAST = 4.0
"""Pictures flatter than this are not stretched: they would be all grain."""

LAG_S = 0.12
"""Pictures so far apart are compared: hands get somewhere in it, while the grain is that of one frame."""

GRAIN = 3.0
"""A pixel moves when it changes by more than this times the median pixel: what is left of noise and shaking."""

MOST_SHIFT = 1.0
"""So many pixels between two pictures are taken for the camera's shaking; beyond that, for what is filmed."""


class MotionMeter:
    """Measures one frame after another.

    Args:
        fps: their rate.

    Attributes:
        late: by how many frames what it says is late: motion between two frames is that of the middle.
    """

    def __init__(self, fps: float) -> None:
        lag = max(round(LAG_S * fps), 1)
        self.late = lag / 2
        self._before: deque[Picture] = deque(maxlen=lag)

    def __call__(self, crop: Frame) -> tuple[float, Picture]:
        """Return how much moved lately, in grey levels per pixel, and the small picture of now.

        Args:
            crop: the signer, (size, size, 3) uint8 RGB.
        """
        picture = small_grey(crop)
        before = self._before[0] if self._before else picture
        self._before.append(picture)
        change = changed(before, picture)
        return float(np.maximum(change - GRAIN * np.median(change), 0).mean()), picture


class Levels:
    """Percentiles of the values so far, in constant memory: a histogram with bins of 3 %, which forgets.

    Args:
        forget: what share of the past each new value pushes out: about the last 1 / ``forget`` values count.
    """

    _LOWEST, _STEP, _BINS = 1e-3, 0.03, 512

    def __init__(self, forget: float) -> None:
        self._keep = 1 - forget
        self._counts = np.zeros(self._BINS)

    def add(self, value: float) -> None:
        """Count ``value``, which is not negative."""
        place = np.log(max(value, self._LOWEST) / self._LOWEST) / self._STEP
        self._counts *= self._keep
        self._counts[min(int(place), self._BINS - 1)] += 1

    def percentiles(self, *percents: float) -> list[float]:
        """Return, for each of ``percents``, the value below which so many of the values lie; 0 before there is one."""
        heaped = np.cumsum(self._counts)
        if not heaped[-1]:
            return [0.0] * len(percents)
        places = np.searchsorted(heaped, heaped[-1] * np.array(percents) / 100)
        return [float(value) for value in self._LOWEST * np.exp(self._STEP * (places + 0.5))]


def small_grey(crop: Frame) -> Picture:
    """Return the small, soft, grey picture of a frame, (H, W, 3) uint8 RGB."""
    import cv2

    small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    soft = np.asarray(cv2.GaussianBlur(grey, (0, 0), SOFTNESS), dtype=np.float32)
    mean, spread = float(soft.mean()), float(soft.std())
    return (soft - np.float32(mean)) * np.float32(CONTRAST / max(spread, LEAST_CONTRAST))


def changed(before: Picture, after: Picture) -> NDArray[np.float32]:
    """Return how much each pixel changed, (SIDE, SIDE) float32, beyond what a small shift of the camera explains.

    The shift is fitted to first order in the picture's slopes (Lucas and Kanade 1981), a second time with the pixels
    that do not follow it, the hands, counting less.
    """
    change = after - before
    mean = (after + before) / 2
    down, across = np.zeros_like(mean), np.zeros_like(mean)
    down[1:-1] = (mean[2:] - mean[:-2]) / 2
    across[:, 1:-1] = (mean[:, 2:] - mean[:, :-2]) / 2
    rest = change
    for fit in range(2):
        weight = np.float32(1) if fit == 0 else 1 / (1 + (rest / (GRAIN * np.median(np.abs(rest)) + 1e-3)) ** 2)
        left, up = weight * across, weight * down
        xx, xy, yy = float(np.vdot(left, across)), float(np.vdot(left, down)), float(np.vdot(up, down))
        x, y = float(np.vdot(left, change)), float(np.vdot(up, change))
        volume = xx * yy - xy * xy + 1e-6
        shift = np.clip([(yy * x - xy * y) / volume, (xx * y - xy * x) / volume], -MOST_SHIFT, MOST_SHIFT)
        rest = change - np.float32(shift[0]) * across - np.float32(shift[1]) * down
    return np.abs(rest)
