"""COCO-WholeBody: 133 points of body, feet, face and hands; and which of them MediaPipe's joints are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt.video.keypoints import N_HAND, N_JOINTS, N_POSE

N_POINTS = 133
WHOLEBODY_DIM = 3 * N_POINTS  # x in picture widths, y in picture heights, and score of each
LEFT_HAND = range(91, 112)
RIGHT_HAND = range(112, 133)

# Nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; then big toe and heel of each foot.
_BODY = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_FEET = {17: 31, 19: 29, 20: 32, 22: 30}
_HANDS = {
    **{point: N_POSE + number for number, point in enumerate(LEFT_HAND)},
    **{point: N_POSE + N_HAND + number for number, point in enumerate(RIGHT_HAND)},
}
JOINT_OF: dict[int, int] = {**dict(enumerate(_BODY)), **_FEET, **_HANDS}
"""Point → the joint among MediaPipe Holistic's 75 that is in its place; the face has none."""


def points_of_joints(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the points that MediaPipe's joints stand for, (T, 399) float32: score 1 where seen, NaN elsewhere.

    Args:
        joints: (T, 225) float32, NaN where not seen.
    """
    seen = joints.reshape(len(joints), N_JOINTS, 3)
    points = np.full((len(joints), N_POINTS, 3), np.nan, np.float32)
    points[:, list(JOINT_OF), :2] = seen[:, list(JOINT_OF.values()), :2]
    points[..., 2] = np.where(np.isfinite(points[..., :2]).all(-1), 1.0, np.nan)
    return points.reshape(len(joints), WHOLEBODY_DIM)
