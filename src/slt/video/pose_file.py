"""A video with keypoints from a `.pose` file, with or without its pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.video.base import Frame, Video, VideoInfo
from slt.video.keypoints import Holistic, read_pose
from slt.video.rate import to_working_rate
from slt.video.span import ROUNDING_S, open_span

POSE = ".pose"

# A header's count of frames is a claim, and a detector may drop a frame or two.
SLACK_S, SLACK_SHARE = 0.2, 0.01


def pose_beside(video: Path) -> Path | None:
    """Return the ``.pose`` file of a video's name in its folder, None where there is none."""
    if video.is_dir():
        video = video.absolute()  # a folder may be called "."
        found = video.parent / f"{video.name}{POSE}"
    else:
        found = video.with_suffix(POSE)
    return found if found.is_file() and found != video else None


def open_with_pose(
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    pose: Path | None = None,
    pictures: bool = True,
    target_fps: float = 25.0,
) -> Video:
    """Open a segment of a video as ``open_span`` does; where there is a ``.pose`` file of it, its joints are known.

    Args:
        path: the video; or the ``.pose`` file itself, which has no pictures.
        start_s: as for ``open_span``.
        end_s: likewise.
        pose: the ``.pose`` file of the whole video, where there is one.
        pictures: they will be looked at. If not, joints that are known are enough: the video need not be there, and
            only its length is seen to be theirs.
        target_fps: frames per second the models were made for, which pictures and known joints are brought to, each
            from their own rate. What has only one of them keeps its rate, for the caller to change.

    Raises:
        UserError: as for ``open_span`` and ``read_pose``; or the file knows nothing of the span, or is not as long.
    """
    if path.suffix.lower() == POSE:
        return _read(path, start_s, end_s)
    if pose is None:
        return open_span(path, start_s, end_s)
    posed = _read(pose, start_s, end_s)
    if not pictures and not path.exists():
        return posed
    video = open_span(path, start_s, end_s)
    _check_length(posed.info, video.info)
    return posed.with_pictures(video, target_fps) if pictures else posed


def _read(pose: Path, start_s: float | None, end_s: float | None) -> PoseFileVideo:
    found = read_pose(pose)
    first, after = (
        None if edge is None else max(math.ceil((edge - ROUNDING_S) * found.fps), 0) for edge in (start_s, end_s)
    )
    joints = found.keypoints.reshape(len(found.keypoints), -1)[first:after]
    if not len(joints):
        raise UserError(
            f"{pose} has no keypoints from {start_s or 0:g} to {math.inf if end_s is None else end_s:g} s",
            fix="correct the clip's times, or make the file from the whole video",
        )
    own = VideoInfo(path=pose, fps=found.fps, n_frames=len(joints), height=found.height, width=found.width)
    return PoseFileVideo(joints, own)


def _check_length(posed: VideoInfo, video: VideoInfo) -> None:
    if posed.n_frames is None or video.n_frames is None:
        return
    known_s, lasts_s = posed.n_frames / posed.fps, video.n_frames / video.fps
    if abs(known_s - lasts_s) > SLACK_S + SLACK_SHARE * lasts_s:
        raise UserError(
            f"{posed.path} has keypoints for {known_s:.2f} s of {video.path}, which lasts {lasts_s:.2f} s",
            fix="make the file from this video, or remove it: keypoints are then detected",
        )


class PoseFileVideo(Video):
    """A segment of a video, and where its joints are.

    Joints and pictures keep each their own number per second: they are features of their own.

    Args:
        joints: (T, 225) float32, of every frame of their file.
        info: of the file that they are from.
        pictures: the segment itself; None: there are no pictures.
    """

    def __init__(self, joints: NDArray[np.float32], info: VideoInfo, pictures: Video | None = None) -> None:
        super().__init__(pictures.info if pictures else info)
        self._joints = joints
        self._own = info
        self._pictures = pictures

    def with_pictures(self, pictures: Video, target_fps: float) -> PoseFileVideo:
        """Return the joints with the pictures they were made of, both at their working rates near ``target_fps``."""
        joints = np.stack(list(keypoints_of(to_working_rate(self, target_fps=target_fps))))
        return PoseFileVideo(joints, self._own, to_working_rate(pictures, target_fps=target_fps))

    @property
    def warnings(self) -> list[str]:
        """Those of the pictures, and its own."""
        return [*(self._pictures.warnings if self._pictures else []), *self._warnings]

    def joints(self) -> NDArray[np.float32]:
        """Return the joints at their own rate; beside pictures there may be more or fewer than frames."""
        return self._joints

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (time, frame) of the pictures.

        Raises:
            UserError: there are none, or they cannot be read to their end.
        """
        if self._pictures is None:
            raise UserError(
                f"{self._own.path} holds keypoints and no pictures, and pictures are needed",
                fix="give the video that it was made of",
            )
        with closing(self._pictures.timed_frames()) as timed:
            yield from timed


def keypoints_of(
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
