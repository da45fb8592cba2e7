"""Keypoints as encoders take them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slt.models.joints import LEFT_SHOULDER, MIN_WIDTH, RIGHT_SHOULDER, normalise
from slt.video.keypoints import N_JOINTS


def clip(n=6, seed=0):
    """Joints somewhere in the picture, with shoulders at x 0.6 and 0.4, y 0.3."""
    joints = torch.rand(n, N_JOINTS, 3, generator=torch.Generator().manual_seed(seed))
    joints[:, LEFT_SHOULDER, :2] = torch.tensor([0.6, 0.3])
    joints[:, RIGHT_SHOULDER, :2] = torch.tensor([0.4, 0.3])
    return joints


def normal(joints, mask=None):
    mask = torch.ones(len(joints), dtype=torch.bool) if mask is None else mask
    return normalise(joints.flatten(1)[None], mask[None])[0].unflatten(-1, (N_JOINTS, 3))


def test_the_shoulders_are_the_middle_and_the_measure():
    joints = clip()
    found = normal(joints)
    torch.testing.assert_close(found[:, LEFT_SHOULDER, :2], torch.tensor([[0.5, 0.0]]).expand(6, 2))
    torch.testing.assert_close(found[:, :, 1], (joints[:, :, 1] - 0.3) / 0.2)
    torch.testing.assert_close(found[:, :, 2], joints[:, :, 2] / 0.2)


def test_neither_place_nor_size_in_the_picture_matters_but_leaning_does():
    joints = clip()
    nearer = joints * 1.7 + torch.tensor([0.1, -0.2, 0.0])
    torch.testing.assert_close(normal(nearer), normal(joints), atol=1e-5, rtol=0)
    leaning = joints.clone()
    leaning[2] += torch.tensor([0.2, 0.0, 0.0])
    moved = normal(leaning) - normal(joints)
    assert moved[2, :, 0] == pytest.approx(torch.ones(N_JOINTS), abs=1e-5)
    assert moved[[0, 1, 3, 4, 5]].abs().max() < 1e-5


def test_a_joint_that_is_not_seen_is_zero_and_disturbs_no_other():
    joints = clip()
    holes = joints.clone()
    holes[1, 40] = torch.nan
    holes[2, 41, 0] = torch.inf
    holes[3, LEFT_SHOULDER] = torch.nan
    found, whole = normal(holes), normal(joints)
    for frame, joint in ((1, 40), (2, 41), (3, LEFT_SHOULDER)):
        assert (found[frame, joint] == 0).all()
        whole[frame, joint] = 0
    torch.testing.assert_close(found, whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_is_zero_whatever_stands_in_it_and_changes_nothing(value):
    joints = clip()
    padded = torch.cat([joints, torch.full((4, N_JOINTS, 3), value)])
    found = normal(padded, torch.arange(10) < 6)
    assert torch.equal(found[:6], normal(joints))
    assert (found[6:] == 0).all()


def test_clips_of_a_batch_do_not_touch_each_other():
    clips = [clip(seed=seed) * (1 + seed) for seed in range(3)]
    together = normalise(torch.stack(clips).flatten(2), torch.ones(3, 6, dtype=torch.bool))
    for row, joints in zip(together, clips, strict=True):
        assert torch.equal(row.unflatten(-1, (N_JOINTS, 3)), normal(joints))


def test_it_is_finite_without_shoulders_and_with_absurd_ones():
    unseen = clip()
    unseen[:3, LEFT_SHOULDER] = unseen[3:, RIGHT_SHOULDER] = torch.nan
    found = normal(unseen)
    torch.testing.assert_close(found[0, 0, 0], (unseen[0, 0, 0] - 0.5) / 0.25)
    together = clip()
    together[:, RIGHT_SHOULDER] = together[:, LEFT_SHOULDER]
    assert normal(together).abs().max() <= 1 / MIN_WIDTH
    assert (normal(torch.full((2, N_JOINTS, 3), torch.nan)) == 0).all()
