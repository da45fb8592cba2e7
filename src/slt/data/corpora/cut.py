"""Cut one clip (video, start, end) into a file of its own; runs in a worker process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import SltError
from slt.video.base import Frame, Video
from slt.video.decode import open_video
from slt.video.encode import write_video
from slt.video.span import open_span


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One clip to be cut.

    Attributes:
        source: the video it is in.
        start_s: its first moment there, in seconds; None: the beginning.
        end_s: where it ends; None: the video's end.
        target: the file to make, one that is there already is taken as it is; None: see that there is a frame, only.
    """

    source: Path
    start_s: float | None
    end_s: float | None
    target: Path | None


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a video is.

    Attributes:
        n_frames: by its header.
        fps: frames per second.
    """

    n_frames: int
    fps: float

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.n_frames / self.fps


def measure(path: Path) -> Length | SltError:
    """Return how long a video is, or why it cannot be read."""
    try:
        info = open_video(path).info
    except SltError as error:
        return error
    return Length(n_frames=info.n_frames or 1, fps=info.fps)


def cut(job: Cut) -> Length | SltError | None:
    """Cut a clip and measure it; or return why its video cannot be read.

    Raises:
        SltError: the clip cannot be written: nor could the next one.
    """
    if job.target is not None and job.target.exists():
        return measure(job.target)
    try:
        source = _Source(open_span(job.source, job.start_s, job.end_s))
    except SltError as error:
        return error
    try:
        if job.target is None:
            with closing(source.timed_frames()) as frames:
                next(frames)
            return None
        write_video(job.target, source)
    except SltError as error:
        if error is source.error:
            return error
        raise
    return measure(job.target)


class _Source(Video):
    """A video that remembers why it could not be read to its end."""

    def __init__(self, video: Video) -> None:
        super().__init__(video.info)
        self._video = video
        self.error: SltError | None = None

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame)."""
        try:
            yield from self._video.timed_frames()
        except SltError as error:
            self.error = error
            raise
