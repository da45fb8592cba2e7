"""Resample a video to the models' frame rate by its timestamps."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slt.video.base import Frame, Picture, Video

KEPT = (0.8, 1.2)
"""Rates kept as they are, relative to the target: 20 to 30 frames per second for a target of 25."""

SLACK = 0.01
"""A phone's "30 frames per second" averages 30.02; that is no reason to resample it."""

LONGEST_HOLD_S = 10.0
"""No frame is shown for longer: a broken timestamp must not become an hour of one picture."""

PHASE = 0.2
"""Where within an output frame the video is sampled, in output frames. Not at its very beginning, where at 50 or
100 frames per second a rounded timestamp would decide between two frames."""


def to_working_rate(video: Video, *, target_fps: float = 25.0, raw: bool = False) -> Video:
    """Return ``video`` at a rate near ``target_fps``: itself where it already is, else resampled to the target.

    Windows step by raw frames: far above the target they overlap needlessly, far below it they leave signing out. From
    20 to 30 frames per second the published pipeline's numbers are kept, variable frame rate included; outside, each
    output frame is the one on show at its time, and a warning says so.

    Args:
        video: any video.
        target_fps: frames per second the model was made for.
        raw: keep the frames as they are whatever the rate, as the published pipeline does.
    """
    if raw or is_kept(video.info.fps, target_fps):
        return video
    return ResampledVideo(video, target_fps)


def is_kept(fps: float, target_fps: float) -> bool:
    """Return whether videos of this rate keep their frames, for models made for ``target_fps``."""
    low, high = (edge * target_fps for edge in KEPT)
    return low * (1 - SLACK) <= fps <= high * (1 + SLACK)


def nearest_rows(rows: NDArray[np.float32], fps: float, wanted: float) -> NDArray[np.float32]:
    """Return (T, D) rows, one per frame at ``fps``, at another rate: the nearest, or all where it is the same."""
    if abs(fps - wanted) <= SLACK * wanted or not len(rows):
        return rows
    count = max(1, round(len(rows) / fps * wanted))
    return rows[np.minimum((np.arange(count) + 0.5) * fps / wanted, len(rows) - 1).astype(int)]


class ResampledVideo(Video):
    """A video at another, constant rate: frames are repeated or left out, never mixed.

    Args:
        source: the video to resample.
        fps: frames per second wanted.
    """

    def __init__(self, source: Video, fps: float) -> None:
        claimed = source.info.n_frames
        n_frames = None if claimed is None else max(round(claimed / source.info.fps * fps), 1)
        super().__init__(replace(source.info, fps=fps, n_frames=n_frames))
        self._source = source
        self._change = (
            f"the video runs at {source.info.fps:.4g} frames per second: it was brought to {fps:.4g} by its "
            "timestamps, because the model was made for that rate"
        )

    @property
    def warnings(self) -> list[str]:
        """The source's warnings, and what was changed."""
        return [*self._source.warnings, self._change, *self._warnings]

    def joints(self) -> NDArray[np.float32] | None:
        """Return the source's joints at the new rate."""
        known = self._source.joints()
        return None if known is None else nearest_rows(known, self._source.info.fps, self.info.fps)

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame) at the new rate; at least one frame.

        Raises:
            UserError: the source cannot be read to its end.
        """
        with closing(self.timed_pictures()) as timed:
            for time, picture in timed:
                yield time, picture.pixels()

    def timed_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (seconds, picture) of what ``timed_frames`` yields; those left out are never made into pixels.

        Raises:
            UserError: the source cannot be read to its end.
        """
        fps = self.info.fps
        shown: Picture | None = None
        made = 0
        end = 0.0
        for hold, picture in self._held_pictures():
            shown = picture
            end += hold
            while (made + PHASE) / fps < end:
                yield made / fps, picture
                made += 1
        if shown is not None and made == 0:
            yield 0.0, shown

    def _held_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (seconds on show, picture) of the source; the last one is shown for one source frame."""
        nominal = min(1 / self._source.info.fps, LONGEST_HOLD_S)
        before: tuple[float, Picture] | None = None
        with closing(self._source.timed_pictures()) as timed:
            for time, picture in timed:
                if before is not None:
                    yield self._hold(time - before[0], nominal), before[1]
                before = time, picture
        if before is not None:
            yield nominal, before[1]

    def _hold(self, seconds: float, nominal: float) -> float:
        """Return how long a frame is really shown, given its distance to the next."""
        if seconds > LONGEST_HOLD_S:
            self.warn(f"a frame that lasts {seconds:.4g} s was shown for {LONGEST_HOLD_S:.4g} s")
            return LONGEST_HOLD_S
        return seconds if seconds >= 0 else nominal
