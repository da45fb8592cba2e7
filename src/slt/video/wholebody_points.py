"""COCO-WholeBody: 133 points of body, feet, face and hands; and which of them MediaPipe's joints are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt.video.keypoints import N_JOINTS
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, counterparts

N_POINTS = 133
WHOLEBODY_DIM = 3 * N_POINTS  # x in picture widths, y in picture heights, and score of each
LEFT_HAND = range(91, 112)
RIGHT_HAND = range(112, 133)

FACE = range(23, 91)
JOINT_OF: dict[int, int] = {
    point: joint
    for point, joint in enumerate(counterparts(MEDIAPIPE_75, COCO_WHOLEBODY_133))
    if joint is not None and point not in FACE
}
"""Point → the joint among MediaPipe Holistic's 75 that is in its place; the face, of which that has corners only, has
none."""


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
