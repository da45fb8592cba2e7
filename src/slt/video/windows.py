"""Plan windows: frame indices and padding of each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class WindowGeometry:
    """How a video is cut into windows; the defaults are those of the published model.

    Attributes:
        num_frames: frames sampled per window.
        sampling_rate: at ``target_fps``, every how many frames one is sampled.
        target_fps: frames per second the sampling is meant for; a window spans
            ``num_frames * sampling_rate / target_fps`` seconds whatever the video's own rate.
        stride_frames: sampled frames from one window's start to the next.

    Raises:
        UserError: a value is not positive.
    """

    num_frames: int = 128
    sampling_rate: int = 2
    target_fps: float = 25
    stride_frames: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise UserError(f"window geometry: {name} is {value}, expected a positive number")


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a video.

    Attributes:
        start: the first raw frame it spans.
        end: the last raw frame it spans, may be fractional and may lie past the video's end.
        indices: (num_frames,) int64, the raw frame sampled at each position, non-decreasing.
        padding: how many positions at the end only repeat the last frame.
    """

    start: float
    end: float
    indices: NDArray[np.int64]
    padding: int


def plan_windows(n_frames: int, fps: float, geometry: WindowGeometry | None = None, *, first: int = 0) -> list[Window]:
    """Cut a video into overlapping windows, the last being the first whose end reaches past the last frame.

    Windows start every ``stride_frames * sampling_rate`` *raw* frames whatever the rate, while their span scales
    with it: right from 20 to 30 frames per second, and what ``video.rate`` mends outside. A video of exactly one
    span (256 frames at 25 frames per second) gets a second window inside the first. Both are the published
    pipeline's numbers, kept.

    Args:
        n_frames: frames in the video.
        fps: its frames per second.
        geometry: how to cut; the published geometry when None.
        first: the number of the first window wanted; those before it must not reach the video's end.

    Raises:
        UserError: no frames, or a rate that is not a positive number.

    Reference: facebookresearch/ssvp_slt, examples/inference/src/slt_inference/preprocessing.py.
    """
    if n_frames < 1:
        raise UserError(f"there is nothing to cut into windows: {n_frames} frames, expected at least 1")
    if not (math.isfinite(fps) and fps > 0):
        raise UserError(f"the video's rate is {fps} frames per second, expected a positive number")
    geometry = geometry or WindowGeometry()
    span = geometry.sampling_rate * geometry.num_frames / geometry.target_fps * fps
    windows: list[Window] = []
    step = geometry.stride_frames * geometry.sampling_rate
    for start in range(first * step, n_frames, step):
        end = start + span - 1
        indices = _sample(start, end, geometry.num_frames, n_frames)
        windows.append(Window(start=float(start), end=end, indices=indices, padding=_padding(indices, fps, geometry)))
        if end >= n_frames:
            break
    return windows


def feature_rows(windows: Iterable[Window], geometry: WindowGeometry | None = None, *, frames_per_row: int = 2) -> int:
    """Return how many feature rows the windows give together, after the padded ones are dropped.

    Args:
        windows: a video's windows.
        geometry: how they were cut; the published geometry when None.
        frames_per_row: sampled frames behind one row: the extractor's stride in time.
    """
    full = (geometry or WindowGeometry()).num_frames // frames_per_row
    return sum(full - window.padding // frames_per_row for window in windows)


def _sample(start: int, end: float, num_frames: int, n_frames: int) -> NDArray[np.int64]:
    """Return (num_frames,) indices spread evenly from ``start`` to ``end``, clamped to the video."""
    # Single precision, from both ends towards the middle: how torch.linspace rounds. At rates such as 22.5 double
    # precision picks another frame in some windows.
    first, last = np.float32(start + 0.5), np.float32(end + 0.5)
    position = np.arange(num_frames, dtype=np.float32)
    step = (last - first) / np.float32(max(num_frames - 1, 1))
    from_start = first + step * position
    from_end = last - step * (np.float32(num_frames - 1) - position)
    spread = np.where(position < max(num_frames // 2, 1), from_start, from_end)
    return np.clip(spread, 0, n_frames - 1).astype(np.int64)


def _padding(indices: NDArray[np.int64], fps: float, geometry: WindowGeometry) -> int:
    """Return how many of a window's frames are padding: those beyond its distinct frames."""
    real = len(np.unique(indices))
    raw_rate = fps * geometry.sampling_rate
    if geometry.target_fps > raw_rate:
        # A slow video's frames repeat because there are too few of them, not because the video has ended.
        real = math.floor(real * geometry.target_fps / raw_rate)
    # Rounding can credit a slow video with a frame more than the window holds.
    return max(geometry.num_frames - real, 0)
