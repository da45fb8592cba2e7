"""A video with keypoints from a file, with or without its pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.video.base import Frame, Video, VideoInfo
from slt.video.folder import FPS
from slt.video.keypoint_files import PICKLES, KeypointFile, read_keypoint_file
from slt.video.keypoints import Holistic
from slt.video.openpose import SUFFIX as OPENPOSE_SUFFIX
from slt.video.rate import to_working_rate
from slt.video.skeletons import MEDIAPIPE_75, SKELETONS
from slt.video.span import ROUNDING_S, open_span

POSE = ".pose"
NO_SIZE = 1
"""Pixels of a picture whose size nobody knows; its joints are shares of it."""

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


def holds_keypoints(path: Path) -> bool:
    """Return whether a path is a file of keypoints, or a folder of OpenPose's, by its name and its files' names."""
    if path.suffix.lower() in (POSE, ".npy", *PICKLES):
        return True
    try:
        return any(entry.name.endswith(OPENPOSE_SUFFIX) for entry in os.scandir(path)) if path.is_dir() else False
    except OSError:
        return False  # opening it as a video tells why


def open_with_pose(
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    pose: Path | None = None,
    pictures: bool = True,
    target_fps: float = 25.0,
    skeleton: str = MEDIAPIPE_75.name,
    target: str = MEDIAPIPE_75.name,
) -> Video:
    """Open a segment of a video as ``open_span`` does; where there is a keypoint file of it, its joints are known.

    Args:
        path: the video; or the keypoint file itself, which has no pictures.
        start_s: as for ``open_span``.
        end_s: likewise.
        pose: the keypoint file of the whole video, where there is one: any layout of ``read_keypoint_file``.
        pictures: they will be used. If not, joints that are known are enough: the video need not be there, and
            only its length is seen to be theirs.
        target_fps: frames per second the models were made for, which pictures and known joints are brought to, each
            from their own rate. What has only one of them keeps its rate, for the caller to change.
        skeleton: the skeleton that keypoint files hold; files with joints of another detector are refused.
        target: the skeleton whose joints are wanted, which they are converted to.

    Raises:
        UserError: as for ``open_span`` and ``read_keypoint_file``; or the file holds other joints, knows nothing of
            the span, or is not as long.
    """
    if holds_keypoints(path):
        return _read(path, start_s, end_s, (skeleton, target), None)
    if pose is None:
        return open_span(path, start_s, end_s)
    if not pictures and not path.exists():
        return _read(pose, start_s, end_s, (skeleton, target), None)
    video = open_span(path, start_s, end_s)
    posed = _read(pose, start_s, end_s, (skeleton, target), video.info)
    _check_length(posed.info, video.info)
    return posed.with_pictures(video, target_fps) if pictures else posed


def _read(
    pose: Path, start_s: float | None, end_s: float | None, skeletons: tuple[str, str], video: VideoInfo | None
) -> PoseFileVideo:
    """Read the joints of a span, from one skeleton to another; what the file does not say is taken from its video."""
    held, wanted = skeletons
    found = read_keypoint_file(pose)
    warnings = [*found.warnings, *_check_joints(pose, found, held)]
    found = found.normalised(pose, (video.width, video.height) if video else None).as_skeleton(SKELETONS[wanted])
    fps = found.fps or (video.fps if video else None)
    if fps is None:
        if start_s is not None or end_s is not None:
            raise UserError(
                f"{pose} does not say how many frames a second has, and the clip is a segment of it",
                fix="name the video in the manifest's column video, or cut the keypoints into a file per clip",
            )
        fps = FPS
        warnings.append(f"keypoints without a frame rate were taken for {FPS:g} frames per second")
    first, after = (None if edge is None else max(math.ceil((edge - ROUNDING_S) * fps), 0) for edge in (start_s, end_s))
    joints = found.points.reshape(len(found.points), -1)[first:after]
    if not len(joints):
        raise UserError(
            f"{pose} has no keypoints from {start_s or 0:g} to {math.inf if end_s is None else end_s:g} s",
            fix="correct the clip's times, or make the file from the whole video",
        )
    height, width = found.height, found.width
    if not (height and width):
        height, width = (video.height, video.width) if video else (NO_SIZE, NO_SIZE)
    own = VideoInfo(path=pose, fps=fps, n_frames=len(joints), height=height, width=width)
    posed = PoseFileVideo(joints, own)
    for warning in warnings:
        posed.warn(warning)
    return posed


def _check_joints(pose: Path, found: KeypointFile, skeleton: str) -> list[str]:
    """Refuse joints of another detector than is asked for: converting them is the user's decision.

    Returns:
        A warning: how many joints the file lacks.

    Raises:
        UserError: they are others, or MediaPipe's without depth.
    """
    own, wanted = found.skeleton, SKELETONS[skeleton]
    if own.detector != wanted.detector:
        raise UserError(
            f"{pose} holds joints of {own.name}, expected those of {wanted.name}: skeletons are not mixed unasked",
            fix=f"to convert them, add --skeleton {own.name} to slt extract-features"
            if own.name in SKELETONS
            else "docs/keypoints.md",
        )
    if own.third != wanted.third:
        raise UserError(
            f"{pose} has joints without depth, expected x, y and z",
            fix=f"slt features import DIR --layout pose --to {MEDIAPIPE_75.name} sets it to 0",
        )
    lacking = len(set(MEDIAPIPE_75.joints) - set(own.joints))
    if lacking and wanted is MEDIAPIPE_75:
        return [f"the keypoint file lacks {lacking} of {len(MEDIAPIPE_75.joints)} joints, which count as not seen"]
    return []


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
        joints: (T, 3J) float32, of every frame of their file: (T, 225) unless another skeleton was asked for.
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
        both = PoseFileVideo(joints, self._own, to_working_rate(pictures, target_fps=target_fps))
        for warning in self._warnings:
            both.warn(warning)
        return both

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
                fix="give the video that it was made of, or take a model that reads keypoints: --model NAME",
            )
        with closing(self._pictures.timed_frames()) as timed:
            yield from timed


def keypoints_of(
    video: Video, holistic: Callable[[], AbstractContextManager[Holistic]] = Holistic
) -> Generator[NDArray[np.float32], None, None]:
    """Yield the joints of every frame, (3J,) float32 each: those that are known, else as Holistic sees them.

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
