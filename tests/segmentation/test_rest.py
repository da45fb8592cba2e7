from __future__ import annotations

import numpy as np

from slt.segmentation.rest import LONGEST_MEMORY_S, MOST, RestPostures

NEAR = 8.0


def picture(seed: int) -> np.ndarray:
    """A picture that is far from those of other seeds; noise so fine that no shift explains it."""
    return np.random.default_rng(seed).normal(0, 40, (32, 32)).astype(np.float32)


def test_a_posture_held_once_is_no_rest_and_one_come_back_to_is():
    rests = RestPostures()
    assert rests.distance(picture(0)) == float("inf")
    rests.held(picture(0), 1.0, NEAR, again=True)
    assert rests.distance(picture(0)) == float("inf")
    rests.held(picture(0), 1.0, NEAR, again=True)
    assert rests.distance(picture(0)) < 1e-3
    assert rests.distance(picture(1)) > NEAR


def test_a_sign_that_is_held_now_and_then_is_no_rest():
    rests = RestPostures()
    for _ in range(4):
        rests.held(picture(0), 1.0, NEAR, again=True)
        rests.held(picture(1), 0.2, NEAR, again=True)
    assert rests.distance(picture(1)) > NEAR


def test_holds_come_and_go_and_the_rest_stays():
    rests = RestPostures()
    for seed in range(1, 4 * MOST):
        rests.held(picture(0), 1.0, NEAR, again=True)
        rests.held(picture(seed), 0.2, NEAR, again=True)
    assert rests.distance(picture(0)) < 1e-3


def test_a_new_way_to_rest_is_learnt():
    rests = RestPostures()
    for _ in range(100):
        rests.held(picture(0), 1.0, NEAR, again=True)
    for _ in range(int(LONGEST_MEMORY_S)):
        rests.held(picture(1), 1.0, NEAR, again=True)
    assert rests.distance(picture(1)) < 1e-3
