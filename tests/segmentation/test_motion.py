from __future__ import annotations

import cv2
import numpy as np
import pytest

from slt.segmentation.motion import Levels, MotionMeter, changed, small_grey


def scene(hand: tuple[int, int] = (60, 140), shift: float = 0.0) -> np.ndarray:
    """A soft background with a bright hand; the camera may be shifted by some pixels."""
    y, x = np.mgrid[0:224, 0:224].astype(np.float32)
    picture = 110 + 40 * np.sin(x / 23) * np.cos(y / 31)
    picture = np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)
    cv2.circle(picture, hand, 22, (250, 220, 200), -1)
    move = np.array([[1, 0, shift], [0, 1, -shift / 2]], dtype=np.float32)
    return cv2.warpAffine(picture, move, (224, 224), borderMode=cv2.BORDER_REPLICATE)


def motion(before: np.ndarray, after: np.ndarray) -> float:
    meter = MotionMeter(25)
    meter(before)
    return meter(after)[0]


def test_a_hand_that_moves_is_motion_and_a_still_picture_is_none():
    assert motion(scene(), scene()) == 0
    assert motion(scene(), scene(hand=(100, 120))) > 2


@pytest.mark.parametrize("sigma", [4, 12])
def test_grain_is_hardly_motion(sigma):
    rng = np.random.default_rng(0)
    noisy = [np.clip(scene() + rng.normal(0, sigma, (224, 224, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    assert motion(*noisy) < 0.05


def test_light_that_changes_is_hardly_motion():
    assert motion(scene(), (scene() * 0.85).astype(np.uint8)) < 0.2


def test_a_camera_that_shakes_is_hardly_motion_and_hides_none():
    still = changed(small_grey(scene()), small_grey(scene(shift=3.0)))
    unmended = np.abs(small_grey(scene()) - small_grey(scene(shift=3.0)))
    assert still.mean() < 0.35 * unmended.mean()
    assert motion(scene(), scene(hand=(100, 120), shift=3.0)) > 5 * motion(scene(), scene(shift=3.0))


def test_levels_are_percentiles_that_forget():
    levels = Levels(forget=1 / 100)
    assert levels.percentiles(50) == [0.0]
    for value in np.random.default_rng(0).permutation(np.linspace(1, 100, 500)):
        levels.add(value)
    assert levels.percentiles(10, 90) == [pytest.approx(10, rel=0.4), pytest.approx(90, rel=0.15)]
    for _ in range(1000):
        levels.add(0.5)
    assert levels.percentiles(5, 95) == [pytest.approx(0.5, rel=0.03)] * 2


def test_levels_hold_any_value():
    levels = Levels(forget=0.5)
    levels.add(0.0)
    assert levels.percentiles(100)[0] < 0.0011
    levels.add(1e9)
    assert levels.percentiles(100)[0] > 1000
