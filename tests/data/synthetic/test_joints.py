import dataclasses

import numpy as np
import pytest

from slt.data.synthetic.grammar import Meaning, sign
from slt.data.synthetic.joints import joints
from slt.data.synthetic.motion import perform
from slt.data.synthetic.signer import draw_frames, draw_signer
from slt.video.keypoints import LEFT_HAND, POSE, RIGHT_HAND

SHOULDERS, ELBOWS = (11, 12), (13, 14)
TIPS = (4, 8, 12, 16, 20)


def performed(*, left_handed, seed=7, **changed):
    signer = draw_signer("x", np.random.default_rng(seed))
    signer = dataclasses.replace(signer, left_handed=left_handed, **changed)
    meaning = Meaning(subject="BIRD", adjective="RED", asks="yes-no")
    return signer, perform(sign(meaning), signer.manner, np.random.default_rng(seed))


def colours_at(frame, places):
    columns, rows = np.floor(places[:, :2] * 224).astype(int).T
    return frame[rows, columns].astype(int)


@pytest.mark.parametrize("left_handed", [False, True])
def test_wrists_and_fingers_lie_on_the_drawn_hands(left_handed):
    signer, performance = performed(left_handed=left_handed)
    frames = draw_frames(signer, performance, np.random.default_rng(0))
    found = joints(performance, signer)
    dominant = LEFT_HAND if left_handed else RIGHT_HAND  # drawn last, nothing covers it
    n_seen = 0
    for frame, places in zip(frames, found, strict=True):
        hand = places[dominant]
        hand = hand[((hand[:, :2] >= 0) & (hand[:, :2] < 1)).all(axis=1)]
        if len(hand):
            n_seen += 1
            assert np.abs(colours_at(frame, hand) - signer.skin).max() <= 8
    assert n_seen > 30


def test_shoulders_elbows_and_mouth_lie_on_the_drawn_body():
    signer, performance = performed(left_handed=False)
    (frame,) = draw_frames(signer, _first(performance), np.random.default_rng(0))
    places = joints(_first(performance), signer)[0]
    sleeve = [int(0.8 * channel) for channel in signer.shirt]
    assert np.abs(colours_at(frame, places[[*SHOULDERS, *ELBOWS]]) - sleeve).max() <= 2
    red, green, _ = colours_at(frame, (places[[9]] + places[[10]]) / 2)[0]
    assert red > 2 * green


def _first(performance):
    parts = {name: getattr(performance, name)[:1] for name in ("dominant", "other", "cues", "yaw")}
    return dataclasses.replace(performance, **parts)


def test_the_person_s_left_is_left():
    for left_handed in (False, True):
        found = joints(*reversed(performed(left_handed=left_handed)))
        for left, right in ((2, 5), (7, 8), (9, 10), SHOULDERS):
            assert (found[:, left, 0] > found[:, right, 0]).all()
        moves = [np.nanstd(found[:, elbow, 1]) for elbow in ELBOWS]
        assert np.argmax(moves) == (0 if left_handed else 1)


def test_a_left_handed_signer_s_joints_are_a_mirror_image():
    right = joints(*reversed(performed(left_handed=False, centre=(111.5, 104.0))))
    left = joints(*reversed(performed(left_handed=True, centre=(111.5, 104.0))))
    np.testing.assert_allclose(1 - left[:, LEFT_HAND, 0], right[:, RIGHT_HAND, 0], atol=1e-6)
    np.testing.assert_allclose(1 - left[:, 1:4, 0], right[:, 4:7, 0], atol=1e-6)
    np.testing.assert_array_equal(left[:, LEFT_HAND, 1:], right[:, RIGHT_HAND, 1:])


def test_fingers_follow_the_handshape():
    signer, performance = performed(left_handed=False)
    still = _first(performance)
    pose = still.dominant.copy()
    pose[0] = (0.5, 0.5, 0.0, *(1.0, 0.0, 1.0, 1.0, 1.0), 1.0)  # the index finger is folded
    hand = joints(dataclasses.replace(still, dominant=pose), signer)[0, RIGHT_HAND, :2]
    reach = np.linalg.norm(hand[list(TIPS)] - hand[[tip - 3 for tip in TIPS]], axis=1)
    assert reach.argmin() == 1
    assert reach[1] < 0.2 * reach[[0, 2, 3, 4]].min()


def test_the_body_shares_the_hands_joints():
    signer, performance = performed(left_handed=False)
    found = joints(performance, signer)
    seen = np.isfinite(found[:, RIGHT_HAND, 0]).all(axis=1)
    for body, joint in ((16, 0), (18, 17), (20, 5), (22, 2)):
        np.testing.assert_array_equal(found[seen, body], found[seen, RIGHT_HAND.start + joint])


def test_what_is_not_drawn_is_not_there():
    signer, performance = performed(left_handed=False)
    found = joints(performance, signer)
    assert (found.shape, found.dtype) == ((len(performance.yaw), 75, 3), np.float32)
    assert np.isnan(found[:, 23:33]).all()
    assert np.isfinite(found[:, :13]).all()
    assert not np.nan_to_num(found[..., 2]).any()
    body = found[:, POSE, :2]
    assert ((body >= 0) & (body < 1) | np.isnan(body)).all()
    hands = np.isnan(found[:, POSE.stop :, 0]).reshape(len(found), 2, 21)
    assert (hands.all(axis=2) == hands.any(axis=2)).all()
    assert hands.all(axis=2).any()  # a hand in the lap lies below the picture
    assert not hands.all(axis=2).all()
