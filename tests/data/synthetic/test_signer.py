import dataclasses

import numpy as np

from slt.data.synthetic.grammar import Meaning, sign
from slt.data.synthetic.motion import perform
from slt.data.synthetic.signer import draw_frames, draw_signer

PLAIN = Meaning(subject="BIRD", adjective="RED")


def drawn(meaning=PLAIN, *, signer=None, seed=0):
    signer = signer or draw_signer("x", np.random.default_rng(7))
    performance = perform(sign(meaning), signer.manner, np.random.default_rng(seed))
    return draw_frames(signer, performance, np.random.default_rng(seed)), performance


def test_a_performance_becomes_pictures():
    frames, performance = drawn()
    assert frames.shape == (len(performance.yaw), 224, 224, 3)
    assert frames.dtype == np.uint8


def test_signers_differ_in_all_they_are():
    signers = [draw_signer("x", np.random.default_rng(seed)) for seed in range(40)]
    for field in ("head", "centre", "skin", "hair", "shirt", "background", "manner"):
        assert len({getattr(signer, field) for signer in signers}) >= 35, field
    assert {signer.left_handed for signer in signers} == {True, False}


def test_a_left_handed_signer_is_a_mirror_image():
    signer = dataclasses.replace(draw_signer("x", np.random.default_rng(7)), centre=(111.5, 104.0), left_handed=False)
    right, _ = drawn(signer=signer)
    left, _ = drawn(signer=dataclasses.replace(signer, left_handed=True))
    hands = slice(110, 224)  # the face has a nose on one side
    difference = np.abs(right[:, hands].astype(int) - left[:, hands, ::-1].astype(int))
    assert difference.mean() < 1.0
    assert np.abs(right[:, hands].astype(int) - left[:, hands].astype(int)).mean() > 3.0


def test_a_question_shows_in_the_face_and_nowhere_below_it():
    said, performance = drawn()
    asked, _ = drawn(dataclasses.replace(PLAIN, asks="yes-no"))
    frame = performance.signs[1][2] - 2
    difference = np.abs(said[frame].astype(int) - asked[frame].astype(int)).sum(axis=(1, 2))
    signer = draw_signer("x", np.random.default_rng(7))
    chin = int(signer.centre[1])
    assert difference[:chin].sum() > 3000
    assert difference[chin + 8 :].sum() == 0


def test_the_same_seed_draws_the_same_pictures():
    np.testing.assert_array_equal(drawn(seed=2)[0], drawn(seed=2)[0])
