"""Whole-body points of a drawn signer, face included, computed from the motion instead of detected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.figure import EYE_WIDTH, LIPS, Head, Point, head_of
from slt.data.synthetic.joints import joints, shares
from slt.data.synthetic.motion import Performance
from slt.data.synthetic.signer import Signer
from slt.video.skeletons import COCO_WHOLEBODY_133, FACE_68, MEDIAPIPE_75, convert

_FACE = [COCO_WHOLEBODY_133.joints.index(name) for name in FACE_68]
_LID = np.deg2rad(60.0)  # where the two points of an eyelid are, from the eye's corners

Line = NDArray[np.float64]


def wholebody_points(performance: Performance, signer: Signer) -> NDArray[np.float32]:
    """Return the 133 points of a drawn performance, as COCO-WholeBody orders and counts them.

    Body and hands are those of ``joints``. A point of the face is where the drawing has it: the edge of the face, both
    brows, the nose's bridge, the eyes' corners and lids (of open eyes: a blink is not in the motion), the lips. NaN
    stands where nothing is drawn: nostrils, hips, legs and feet, and what lies outside the picture.

    Returns:
        (T, 133, 3) float32: x and y from 0 to 1 across the picture, and the score, which is 1.
    """
    points = convert(joints(performance, signer), MEDIAPIPE_75, COCO_WHOLEBODY_133)
    right = -1.0 if signer.left_handed else 1.0  # the side of the signer's own right
    heads = zip(performance.cues, performance.yaw.tolist(), strict=True)
    face, inside = shares(np.stack([_face(head_of(cues, yaw), right) for cues, yaw in heads]), signer)
    face[..., 2] = 1.0
    face[~inside | ~np.isfinite(face).all(axis=-1)] = np.nan
    shared = [name in MEDIAPIPE_75.joints for name in FACE_68]  # corners of eyes and mouth
    face[:, shared] = points[:, _FACE][:, shared]
    points[:, _FACE] = face
    return points


def _face(head: Head, right: float) -> Line:
    """Return the 68 points of one frame's face in iBUG's order, (68, 2): each row from the signer's right to the left.

    Args:
        head: where it is.
        right: the side of the signer's right, 1 or -1.
    """
    brows = [_between(*head.brow(right)[::-1], 5), _between(*head.brow(-right), 5)]
    nose = [_between(*head.nose, 4), np.full((5, 2), np.nan)]  # nostrils are not drawn
    eyes = [_eye(head, side, right) for side in (right, -right)]
    lips = [_lips(head, right, inner=False), _lips(head, right, inner=True)]
    return np.concatenate([_jaw(head, right), *brows, *nose, *eyes, *lips])


def _jaw(head: Head, right: float) -> Line:
    """Return the (17, 2) points of the lower edge of the face, from ear to ear."""
    (x, y), (width, height) = head.skin
    around = np.linspace(0.0, np.pi, 17)
    return np.stack([x + right * width * np.cos(around), y + height * np.sin(around)], axis=1)


def _eye(head: Head, side: float, right: float) -> Line:
    """Return the (6, 2) points around an eye: the corner on the signer's right, the upper lid, the other, the lower."""
    x, y = head.eye(side)
    around = np.array([0.0, _LID, np.pi - _LID, np.pi, np.pi + _LID, -_LID])
    return np.stack([x + right * EYE_WIDTH * np.cos(around), y - head.eye_height * np.sin(around)], axis=1)


def _lips(head: Head, right: float, *, inner: bool) -> Line:
    """Return the (12, 2) points around the mouth, or the (8, 2) where the lips meet: upper lip first, then back."""
    n_upper, thick = (5, 0.0) if inner else (7, LIPS / 2)
    upper = _between(head.mouth(right), head.mouth(-right), n_upper)
    lower = upper[-2:0:-1].copy()
    upper[1:-1, 1] -= thick
    lower[:, 1] += thick
    return np.concatenate([upper, lower])


def _between(start: Point, end: Point, count: int) -> Line:
    """Return (count, 2) points from one to another, evenly."""
    return np.linspace(start, end, count)
