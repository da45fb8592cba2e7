"""Read a time span of a video without decoding all that precedes it."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from slt.core.errors import UserError
from slt.video.base import Frame, Video
from slt.video.decode import open_video

ROUNDING_S = 1e-6
"""How far before a span's edge a frame may be and still count as on it: timestamps are fractions, edges decimals."""


def open_span(path: Path, start_s: float | None = None, end_s: float | None = None) -> Video:
    """Open the frames of a video that are shown from ``start_s`` on and before ``end_s``.

    Frame k belongs to the span when start_s <= its time < end_s, in seconds since the video's first frame: spans that
    meet share no frame and lose none. Cutting a clip writes these same frames.

    Args:
        path: a video file or a folder of frames.
        start_s: None is the beginning.
        end_s: None is the end.

    Raises:
        UserError: as for ``open_video``; or the span is empty. One that lies outside the video fails when it is read.
        SltError: the machine could not read it.
    """
    video = open_video(path)
    if start_s is None and end_s is None:
        return video
    start_s, end_s = max(start_s or 0.0, 0.0), math.inf if end_s is None else end_s
    if end_s <= start_s:
        raise UserError(f"the span of {path} from {start_s:g} to {end_s:g} s is empty", fix="correct its times")
    return SpanVideo(video, start_s, end_s)


def n_frames_between(start_s: float, end_s: float, fps: float, n_frames: int) -> int:
    """Return how many of ``n_frames`` frames at a steady rate are shown from ``start_s`` on and before ``end_s``."""
    first, after = (math.ceil(min((edge - ROUNDING_S) * fps, n_frames)) for edge in (start_s, end_s))
    return max(after, 0) - max(first, 0)


class SpanVideo(Video):
    """The frames of a video in [start_s, end_s).

    Args:
        source: the video.
        start_s: seconds since its first frame.
        end_s: the same; infinite for its end.
    """

    def __init__(self, source: Video, start_s: float, end_s: float) -> None:
        claimed = source.info.n_frames
        # At a varying rate this is a guess, like any header's claim.
        n_frames = None if claimed is None else max(n_frames_between(start_s, end_s, source.info.fps, claimed), 1)
        super().__init__(replace(source.info, n_frames=n_frames))
        self._source = source
        self._start_s = start_s
        self._end_s = end_s

    @property
    def warnings(self) -> list[str]:
        """The source's warnings, and the span's own."""
        return [*self._source.warnings, *self._warnings]

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds since the span's first frame, frame); at least one.

        Raises:
            UserError: no frame is shown in the span, or the source cannot be read so far.
        """
        begins, time = None, 0.0
        with closing(self._source.frames_from(max(self._start_s - ROUNDING_S, 0.0))) as timed:
            for time, frame in timed:
                if time >= self._end_s - ROUNDING_S:
                    break
                begins = time if begins is None else begins
                yield time - begins, frame
            else:
                lasts = time + 1 / self._source.info.fps
                if begins is not None and math.isfinite(self._end_s) and lasts < self._end_s - 1 / self.info.fps:
                    self.warn(f"the span ends at {self._end_s:g} s, the video at {lasts:.2f} s")
        if begins is None:
            raise UserError(
                f"{self.info.path} shows no frame from {self._start_s:g} to {self._end_s:g} s",
                fix="correct the clip's times, or use the video they belong to",
            )
