"""A video whose joints are known: a `.pose` file, with the pictures it was made of or without them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.errors import UserError
from slt.video.base import Frame, Video, VideoInfo
from slt.video.keypoints import Holistic, read_pose
from slt.video.rate import nearest_rows
from slt.video.span import ROUNDING_S, open_span

POSE = ".pose"


def open_posed(
    path: Path, start_s: float | None = None, end_s: float | None = None, *, pose: Path | None = None
) -> Video:
    """Open a stretch of a video as ``open_span`` does; where there is a ``.pose`` file of it, its joints are known.

    Args:
        path: the video; or the ``.pose`` file itself, which has no pictures.
        start_s: as for ``open_span``.
        end_s: likewise.
        pose: the ``.pose`` file of the whole video, where there is one.

    Raises:
        UserError: as for ``open_span`` and ``read_pose``; or the file knows nothing of the span.
    """
    if path.suffix.lower() == POSE:
        return PosedVideo(path, start_s, end_s)
    video = open_span(path, start_s, end_s)
    return PosedVideo(pose, start_s, end_s, pictures=video) if pose else video


class PosedVideo(Video):
    """A stretch of a video, and where its joints are.

    Args:
        pose: the ``.pose`` file of the whole video.
        start_s: rows from then on, in seconds since its beginning; None is the beginning.
        end_s: rows before then, likewise; None is the end.
        pictures: the stretch itself; None: there are no pictures.

    Raises:
        UserError: the file cannot be read, or has no row in the span.
    """

    def __init__(
        self, pose: Path, start_s: float | None = None, end_s: float | None = None, *, pictures: Video | None = None
    ) -> None:
        found = read_pose(pose)
        first, after = (
            None if edge is None else max(math.ceil((edge - ROUNDING_S) * found.fps), 0) for edge in (start_s, end_s)
        )
        self._joints = found.keypoints.reshape(len(found.keypoints), -1)[first:after]
        if not len(self._joints):
            raise UserError(
                f"{pose} has no joints from {start_s or 0:g} to {math.inf if end_s is None else end_s:g} s",
                fix="mend the clip's times, or make the file of the whole video",
            )
        own = VideoInfo(path=pose, fps=found.fps, n_frames=len(self._joints), height=found.height, width=found.width)
        super().__init__(pictures.info if pictures else own)
        self._fps = found.fps
        self._pose = pose
        self._pictures = pictures

    @property
    def warnings(self) -> list[str]:
        """Those of the pictures, and its own."""
        return [*(self._pictures.warnings if self._pictures else []), *self._warnings]

    def joints(self) -> NDArray[np.float32]:
        """Return the joints as the file has them, brought to the pictures' rate where they have another."""
        return nearest_rows(self._joints, self._fps, self.info.fps)

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (time, frame) of the pictures.

        Raises:
            UserError: there are none, or they cannot be read to their end.
        """
        if self._pictures is None:
            raise UserError(
                f"{self._pose} holds joints and no pictures, and pictures are to be looked at",
                fix="give the video that it was made of",
            )
        with closing(self._pictures.timed_frames()) as timed:
            yield from timed


def joints_of(
    video: Video, holistic: Callable[[], AbstractContextManager[Holistic]] = Holistic
) -> Generator[NDArray[np.float32], None, None]:
    """Yield the joints of every frame, (225,) float32 each: those that are known, else as Holistic sees them.

    Args:
        video: any video.
        holistic: makes what looks for them, where that must be done.

    Raises:
        UserError: the video cannot be read to its end.
    """
    if (known := video.joints()) is not None:
        yield from known
        return
    with closing(video.frames()) as frames, holistic() as find:
        for frame in frames:
            yield find(frame).reshape(-1)
