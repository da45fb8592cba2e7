"""Read `.pose` files of any set of components: MediaPipe's, whole or reduced, OpenPose's, COCO-WholeBody's, others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.video.oserrors import explain_os_error
from slt.video.skeletons import COCO_WHOLEBODY_133, FACE_68, MEDIAPIPE_BODY, OPENPOSE_137, SKELETONS, Skeleton, hand

_MEDIAPIPE_OTHERWISE = {"left_foot_index": "left_big_toe", "right_foot_index": "right_big_toe"}
_MEDIAPIPE_HAND = (
    "WRIST",
    *(f"THUMB_{joint}" for joint in ("CMC", "MCP", "IP", "TIP")),
    *(f"{finger}_FINGER_{joint}" for finger in ("INDEX", "MIDDLE", "RING") for joint in ("MCP", "PIP", "DIP", "TIP")),
    *(f"PINKY_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP")),
)
_N_BODY_25 = 25
_DETECTORS: dict[str, Literal["mediapipe", "openpose", "coco-wholebody"]] = {
    **dict.fromkeys(("POSE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"), "mediapipe"),
    **dict.fromkeys(("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d"), "openpose"),
    **dict.fromkeys(("BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"), "coco-wholebody"),
}


@dataclass(frozen=True, kw_only=True)
class PoseComponents:
    """What a `.pose` file holds.

    Attributes:
        points: (T, J, 3) float32: x and y from 0 to 1 across the picture, and z in picture widths, or the confidence;
            NaN where not seen.
        skeleton: the joints, in the file's order.
        fps: frames per second.
        height: of the picture, in pixels.
        width: likewise.
    """

    points: NDArray[np.float32]
    skeleton: Skeleton
    fps: float
    height: int
    width: int


def read_pose_components(path: Path) -> PoseComponents:
    """Read a `.pose` file with all its joints.

    Raises:
        UserError: not a `.pose` file, damaged, or of several people or none.
    """
    from pose_format.numpy import NumPyPoseBody

    pose = _read(path, NumPyPoseBody)
    skeleton = _skeleton(pose.header.components)
    data, confidence = pose.body.data, np.asarray(pose.body.confidence, np.float32)
    _, n_people, _, n_axes = data.shape
    if n_people != 1:
        raise UserError(f"{path} holds {n_people} people, expected one", fix="keep the signer only")
    if n_axes not in (2, 3):
        raise UserError(f"{path} has keypoints of {n_axes} numbers, expected x and y, or x, y and z")
    height, width = pose.header.dimensions.height, pose.header.dimensions.width
    if not height or not width:
        raise UserError(f"{path} says that its picture is {width} by {height} pixels, expected its size")
    points = np.ma.filled(data[:, 0].astype(np.float32), np.nan)
    if n_axes == 2:
        seen = np.isfinite(points).all(axis=2)
        points = np.dstack([points, np.where(seen, confidence[:, 0], np.float32(np.nan))])
    points /= np.array([width, height, 1], np.float32)  # depth is in picture widths already, as slt writes it
    fps = float(pose.body.fps)
    if not np.isfinite(fps) or fps <= 0:
        raise UserError(f"{path} has {fps} frames per second, expected a positive number")
    return PoseComponents(points=points.astype(np.float32), skeleton=skeleton, fps=fps, height=height, width=width)


def measure_pose(path: Path) -> tuple[int, float]:
    """Return the number of frames of a `.pose` file and the frames per second, by its header.

    Raises:
        UserError: not a `.pose` file.
    """
    from pose_format.pose_body import EmptyPoseBody

    pose = _read(path, EmptyPoseBody)
    fps = float(pose.body.fps)
    if not np.isfinite(fps) or fps <= 0:
        raise UserError(f"{path} has {fps} frames per second, expected a positive number")
    return len(pose.body.data), fps


def _read(path: Path, body: Any) -> Any:
    from pose_format.pose import Pose

    try:
        with open(path, "rb") as file:
            return Pose.read(file, pose_body=body)
    except OSError as error:
        raise explain_os_error(path, error) from error
    except Exception as error:  # whatever its reader stumbles over: it checks nothing
        raise UserError(
            f"{path} is not a .pose file that can be read ({type(error).__name__}: {error})",
            fix="make it again from its video, or remove it: keypoints are then detected in the video",
        ) from error


def _skeleton(components: Any) -> Skeleton:
    """Return whose joints a file's components are; a known skeleton where they are all of it, in its order."""
    joints: list[str] = []
    for component in components:
        name_of = _NAMES.get(component.name, lambda point, index, whole=component.name: f"{whole}.{point}")
        joints += [name_of(point, index) for index, point in enumerate(component.points)]
    formats = {component.format for component in components}
    third = "z" if all("Z" in one for one in formats) else "confidence"
    for known in SKELETONS.values():
        if known.joints == tuple(joints) and known.third == third:
            return known
    parts = "+".join(f"{component.name.lower()}-{len(component.points)}" for component in components)
    detectors = {_DETECTORS.get(component.name) for component in components} - {None}
    return Skeleton(
        name=f"pose:{parts}",
        detector=detectors.pop() or "other" if len(detectors) == 1 else "other",
        joints=tuple(joints),
        third="z" if third == "z" else "confidence",
    )


def _body_joint(point: str, index: int) -> str:
    name = point.lower()
    name = _MEDIAPIPE_OTHERWISE.get(name, name)
    return name if name in MEDIAPIPE_BODY else f"POSE_LANDMARKS.{point}"


def _hand_joint(side: str) -> Callable[[str, int], str]:
    def name_of(point: str, index: int) -> str:
        if point in _MEDIAPIPE_HAND:
            return hand(side)[_MEDIAPIPE_HAND.index(point)]
        return f"{side.upper()}_HAND_LANDMARKS.{point}"

    return name_of


def _face_joint(point: str, index: int) -> str:
    number = re.sub(r"\D+", "", point)
    place = _N_BODY_25 + int(number) if number else -1
    is_face = _N_BODY_25 <= place < _N_BODY_25 + 70
    return OPENPOSE_137.joints[place] if is_face else f"face_keypoints_2d.{point}"


def _coco_body_joint(point: str, index: int) -> str:
    return point if point in COCO_WHOLEBODY_133.joints else f"BODY.{point}"


def _coco_face_joint(point: str, index: int) -> str:
    """Name one of the 68 points, which pose-format numbers as it orders them."""
    return FACE_68[index] if index < len(FACE_68) else f"FACE.{point}"


def _body_25_joint(point: str, index: int) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"^([LR])(?=[A-Z])", r"\1_", point)).lower()
    name = re.sub(r"^([lr])_", lambda side: "left_" if side[1] == "l" else "right_", words)
    return name if name in OPENPOSE_137.joints else f"pose_keypoints_2d.{point}"


def _numbered_hand(side: str) -> Callable[[str, int], str]:
    return lambda point, index: hand(side)[index] if index < len(hand(side)) else f"{side}.{point}"


_NAMES: dict[str, Callable[[str, int], str]] = {
    "POSE_LANDMARKS": _body_joint,
    "FACE_LANDMARKS": lambda point, index: f"mesh_{point}",
    "LEFT_HAND_LANDMARKS": _hand_joint("left"),
    "RIGHT_HAND_LANDMARKS": _hand_joint("right"),
    "BODY": _coco_body_joint,
    "FACE": _coco_face_joint,
    "LEFT_HAND": _numbered_hand("left"),
    "RIGHT_HAND": _numbered_hand("right"),
    "pose_keypoints_2d": _body_25_joint,
    "face_keypoints_2d": _face_joint,
    "hand_left_keypoints_2d": _numbered_hand("left"),
    "hand_right_keypoints_2d": _numbered_hand("right"),
}
