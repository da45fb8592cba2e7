"""Joints are found again in other skeletons by what they are, not by where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from slt.video.skeletons import (
    COCO_WHOLEBODY_133,
    MEDIAPIPE_75,
    MEDIAPIPE_543,
    OPENPOSE_137,
    SKELETONS,
    conversion_table,
    convert,
    counterparts,
)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_joint_has_a_name_of_its_own(name):
    skeleton = SKELETONS[name]
    assert len(set(skeleton.joints)) == len(skeleton.joints) == int(name.rpartition("-")[2])
    assert skeleton.width == 3 * len(skeleton.joints)


# By the authors' pictures: OpenPose's BODY_25, COCO-WholeBody's 133 points, iBUG's face, MediaPipe's pose.
KNOWN = {
    "left_shoulder": (11, 5, 5),
    "right_shoulder": (12, 2, 6),
    "left_elbow": (13, 6, 7),
    "right_wrist": (16, 4, 10),
    "left_hip": (23, 12, 11),
    "right_ankle": (28, 11, 16),
    "left_heel": (29, 21, 19),
    "right_big_toe": (32, 22, 20),
    "left_ear": (7, 18, 3),
    "right_eye": (5, 15, 2),
    "mouth_right": (10, 25 + 48, 23 + 48),
    "left_eye_inner": (1, 25 + 42, 23 + 42),
    "left_hand_0": (33, 95, 91),
    "left_hand_8": (41, 103, 99),
    "right_hand_0": (54, 116, 112),
    "right_hand_20": (74, 136, 132),
}


@pytest.mark.parametrize("joint", KNOWN)
def test_joints_stand_where_their_authors_put_them(joint):
    places = [one.joints.index(joint) for one in (MEDIAPIPE_75, OPENPOSE_137, COCO_WHOLEBODY_133)]
    assert tuple(places) == KNOWN[joint]
    whole = MEDIAPIPE_543.joints.index(joint)
    assert whole == places[0] + (468 if places[0] >= 33 else 0)


def test_what_has_no_counterpart_is_nan():
    points = np.ones((2, 137, 3), np.float32)
    converted = convert(points, OPENPOSE_137, MEDIAPIPE_75)
    lacking = [MEDIAPIPE_75.joints[index] for index in np.flatnonzero(np.isnan(converted[0, :, 0]))]
    assert lacking == [f"{side}_{name}" for name in ("pinky", "index", "thumb") for side in ("left", "right")]
    assert (converted[:, 11] == (1, 1, 0)).all()  # depth cannot be made of a confidence


def test_a_joint_of_little_confidence_is_not_seen_once_converted():
    points = np.ones((1, 133, 3), np.float32)
    points[0, 5, 2], points[0, 6, 2] = 0.3, 0.31
    converted = convert(points, COCO_WHOLEBODY_133, MEDIAPIPE_75)
    assert np.isnan(converted[0, 11]).all()
    assert np.isfinite(converted[0, 12]).all()
    np.testing.assert_array_equal(convert(points, COCO_WHOLEBODY_133, COCO_WHOLEBODY_133), points)


def test_a_confidence_made_of_depth_is_one_where_seen():
    points = np.full((1, 75, 3), 0.5, np.float32)
    points[0, 33:54] = np.nan
    converted = convert(points, MEDIAPIPE_75, COCO_WHOLEBODY_133)
    assert (converted[0, 5] == (0.5, 0.5, 1)).all()
    assert np.isnan(converted[0, 91:112]).all()
    assert np.isnan(converted[0, 23]).all()


def test_the_table_says_what_is_done():
    rows = conversion_table().splitlines()
    assert "| 11 | left shoulder | 5 | 5 |" in rows
    assert "| 17 | left pinky | NaN | NaN |" in rows
    assert "| 54…74 | right hand, wrist first | 116…136 | 112…132 |" in rows
    assert counterparts(MEDIAPIPE_75, MEDIAPIPE_75) == tuple(range(75))
