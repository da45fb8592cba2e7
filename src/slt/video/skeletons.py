"""Skeletons of keypoint detectors: their joints in order, and the conversion from one to another.

Joints are matched by name: two skeletons that have a joint of one name have the same point of the body there. What the
other does not have is NaN. ``docs/keypoints.md`` shows the result as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.registry import did_you_mean

N_FACE_MESH = 468


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """The joints of one detector.

    Attributes:
        name: what headers of feature stores call it.
        detector: skeletons of one detector are selections of the same numbers.
        joints: a name each, in order; "left" and "right" are the signer's own.
        third: what stands beside x and y.
        least: a joint of no more confidence than this counts as not seen when it is converted.
    """

    name: str
    detector: Literal["mediapipe", "openpose", "coco-wholebody", "other"]
    joints: tuple[str, ...]
    third: Literal["z", "confidence"]
    least: float = 0.0

    @property
    def width(self) -> int:
        """Numbers of one frame."""
        return 3 * len(self.joints)


def _sides(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(count))


def hand(side: str) -> tuple[str, ...]:
    """Return the 21 joints of a hand: wrist, then four of each finger from the thumb on, outwards."""
    return _numbered(f"{side}_hand", 21)


# The 68 points of a face as iBUG numbers them, which OpenPose and COCO-WholeBody share; those that MediaPipe's body has
# too are called as there. The numbers run from the signer's right to the left.
_FACE_NAMES = {
    36: "right_eye_outer",
    39: "right_eye_inner",
    42: "left_eye_inner",
    45: "left_eye_outer",
    48: "mouth_right",
    54: "mouth_left",
}
FACE_68 = tuple(_FACE_NAMES.get(number, f"face_{number}") for number in range(68))

MEDIAPIPE_BODY = (
    "nose",
    *("left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *_sides(("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "big_toe")),
)
_MESH = _numbered("mesh", N_FACE_MESH)
_BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
_COCO_BODY = (
    "nose",
    *_sides(("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)

MEDIAPIPE_75 = Skeleton(
    name="mediapipe-75", detector="mediapipe", joints=MEDIAPIPE_BODY + hand("left") + hand("right"), third="z"
)
MEDIAPIPE_543 = Skeleton(
    name="mediapipe-543",
    detector="mediapipe",
    joints=MEDIAPIPE_BODY + _MESH + hand("left") + hand("right"),
    third="z",
)
OPENPOSE_137 = Skeleton(
    name="openpose-137",
    detector="openpose",
    joints=(*_BODY_25, *FACE_68, "right_pupil", "left_pupil", *hand("left"), *hand("right")),
    third="confidence",
)
COCO_WHOLEBODY_133 = Skeleton(
    name="coco-wholebody-133",
    detector="coco-wholebody",
    joints=_COCO_BODY + FACE_68 + hand("left") + hand("right"),
    third="confidence",
    least=0.3,
)
SKELETONS = {one.name: one for one in (MEDIAPIPE_75, MEDIAPIPE_543, OPENPOSE_137, COCO_WHOLEBODY_133)}


def skeleton_named(name: str) -> Skeleton:
    """Return a skeleton by its name.

    Raises:
        UserError: there is none; the nearest are given.
    """
    if name not in SKELETONS:
        raise UserError(f"unknown skeleton {name!r}; known: {', '.join(SKELETONS)}", fix=did_you_mean(name, SKELETONS))
    return SKELETONS[name]


def counterparts(source: Skeleton, target: Skeleton) -> tuple[int | None, ...]:
    """Return for each joint of ``target`` which one of ``source`` it is, None where there is none."""
    places = {name: index for index, name in enumerate(source.joints)}
    return tuple(places.get(name) for name in target.joints)


def convert(points: NDArray[np.float32], source: Skeleton, target: Skeleton) -> NDArray[np.float32]:
    """Return keypoints in the order of another skeleton; NaN where it has no such joint, or the joint was not seen.

    Depth cannot be made of a confidence: it is 0. A confidence made of depth is 1.

    Args:
        points: (T, J, 3) float32; x, y and what ``source.third`` says; NaN where not seen.
        source: whose joints they are.
        target: whose joints are wanted.

    Returns:
        (T, J', 3) float32.
    """
    if source.joints == target.joints and source.third == target.third:
        return points
    if source.third != target.third:
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=2))
        if source.third == "confidence":
            with np.errstate(invalid="ignore"):
                seen &= points[:, :, 2] > source.least
        points = np.where(seen[:, :, None], points, np.float32(np.nan))
        points[:, :, 2] = np.where(seen, np.float32(target.third == "confidence"), np.float32(np.nan))
    found = counterparts(source, target)
    converted = np.full((len(points), len(found), 3), np.nan, np.float32)
    here = [index for index, place in enumerate(found) if place is not None]
    converted[:, here] = points[:, [place for place in found if place is not None]]
    return converted


def conversion_table() -> str:
    """Return which joint of which skeleton is which of ``mediapipe-75``, as a Markdown table."""
    others = (OPENPOSE_137, COCO_WHOLEBODY_133)
    columns = [counterparts(one, MEDIAPIPE_75) for one in others]
    rows = [f"| mediapipe-75 | | {' | '.join(one.name for one in others)} |", "|---|---|---|---|"]
    for index, name in enumerate(MEDIAPIPE_BODY):
        cells = ["NaN" if column[index] is None else str(column[index]) for column in columns]
        rows.append(f"| {index} | {name.replace('_', ' ')} | {' | '.join(cells)} |")
    for side, first in (("left", len(MEDIAPIPE_BODY)), ("right", len(MEDIAPIPE_BODY) + 21)):
        spans = [f"{column[first]}…{column[first + 20]}" for column in columns]
        rows.append(f"| {first}…{first + 20} | {side} hand, wrist first | {' | '.join(spans)} |")
    return "\n".join(rows)
