from __future__ import annotations

import numpy as np
import pytest

from slt.errors import UserError
from slt.video.detect import DETECTORS, load_detector
from tests.video.films import draw_face


def test_every_name_in_the_table_can_be_had():
    assert set(DETECTORS) == {"none", "dlib-hog"}
    for name in DETECTORS:
        load_detector(name)


def test_none_detects_nothing():
    assert load_detector("none") is None


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown face detector 'dlib-hgo'; known: none, dlib-hog") as caught:
        load_detector("dlib-hgo")
    assert caught.value.fix == "did you mean dlib-hog?"


@pytest.mark.parametrize("radius", [30, 45, 60])
def test_hog_finds_a_face(radius):
    frame = np.full((224, 224, 3), (90, 110, 140), dtype=np.uint8)
    draw_face(frame, 112, 100, radius)
    (face,) = load_detector("dlib-hog")(frame)
    assert (face.x1 + face.x2) / 2 == pytest.approx(112, abs=radius / 3)
    assert (face.y1 + face.y2) / 2 == pytest.approx(100, abs=radius / 3)
    assert face.x2 - face.x1 == pytest.approx(2 * radius, rel=0.35)


@pytest.mark.parametrize("size", [(1, 1), (47, 63), (10, 500)])
def test_hog_finds_none_where_none_is(size):
    assert load_detector("dlib-hog")(np.full((*size, 3), 128, dtype=np.uint8)) == []
