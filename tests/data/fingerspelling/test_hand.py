"""Geometry of the hand keeps the lengths of bones."""

import numpy as np

from slt.data.fingerspelling.hand import bent, between, bones, joints, turned
from tests.spelled import hand


def lengths(pose):
    return np.linalg.norm(bones(pose)[..., 1:, :], axis=-1)


def test_bones_and_joints_are_inverse():
    poses = np.random.default_rng(0).normal(size=(4, 21, 3))
    np.testing.assert_allclose(joints(bones(poses)), poses)


def test_bent_fingers_keep_their_lengths_and_the_palm_its_shape():
    pose = hand("A") + np.random.default_rng(0).normal(size=(21, 3)) * 0.05
    found = bent(pose, np.random.default_rng(1), degrees=20)
    np.testing.assert_allclose(lengths(found), lengths(pose))
    np.testing.assert_allclose(found[[0, 1, 5, 9, 13, 17]], pose[[0, 1, 5, 9, 13, 17]])
    assert np.linalg.norm(found - pose, axis=-1)[[4, 8, 12, 16, 20]].min() > 0.01


def test_a_turn_is_about_x_then_y_then_z():
    quarter = np.pi / 2
    np.testing.assert_allclose(turned(np.array([0, 0, quarter])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turned(np.array([quarter, 0, 0])) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turned(np.array([quarter, quarter, 0])) @ [0, 1, 0], [1, 0, 0], atol=1e-12)


def test_the_way_between_two_poses_begins_and_ends_there_and_keeps_lengths():
    first = hand("A")
    last = 1.2 * bent(first, np.random.default_rng(0), degrees=30) + 0.5
    way = between(first, last, np.array([0.0, 0.3, 0.5, 1.0]))
    np.testing.assert_allclose(way[0], first, atol=1e-9)
    np.testing.assert_allclose(way[-1], last, atol=1e-9)
    np.testing.assert_allclose(lengths(way[2]), (lengths(first) + lengths(last)) / 2, rtol=0.01)
