from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.boxes import iou
from slt.video.detect import CHAINS, DETECTORS, chain_of, check_detector, load_detector
from tests.video.films import draw_face

OFFLINE = [name for name in DETECTORS if name != "dlib-cnn"]


def drawn(radius: int, height: int = 224, width: int = 224) -> np.ndarray:
    frame = np.full((height, width, 3), (90, 110, 140), dtype=np.uint8)
    draw_face(frame, width // 2, height // 2, radius)
    return frame


def test_every_name_in_the_table_can_be_had():
    assert set(DETECTORS) == {"none", "dlib-hog", "dlib-hog-fast", "dlib-cnn", "mediapipe", "auto"}
    for name in OFFLINE:
        check_detector(name)
        load_detector(name)
    assert set(CHAINS) < set(DETECTORS)


def test_one_name_may_stand_for_several():
    assert chain_of("mediapipe") == ("mediapipe",)
    assert chain_of("auto") == ("dlib-hog-fast", "mediapipe")


def test_none_detects_nothing():
    assert load_detector("none") is None


@pytest.mark.parametrize("ask", [check_detector, load_detector])
def test_an_unknown_name_is_answered_with_the_known_ones(ask):
    with pytest.raises(UserError, match="unknown face detector 'dlib-hgo'; known: none, dlib-hog") as caught:
        ask("dlib-hgo")
    assert "dlib-hog" in caught.value.fix


def test_only_dlib_cnn_takes_a_file():
    with pytest.raises(UserError, match="the face detector mediapipe takes no file, found 'mediapipe"):
        check_detector("mediapipe=a.dat")


@pytest.mark.parametrize("name", ["dlib-hog", "dlib-hog-fast", "mediapipe"])
@pytest.mark.parametrize("radius", [30, 45, 60])
def test_a_face_is_found_where_it_is(name, radius):
    (face,) = load_detector(name)(drawn(radius))
    assert (face.x1 + face.x2) / 2 == pytest.approx(112, abs=radius / 3)
    assert (face.y1 + face.y2) / 2 == pytest.approx(112, abs=radius / 2)
    assert face.x2 - face.x1 == pytest.approx(2 * radius, rel=0.35)


@pytest.mark.parametrize("name", ["dlib-hog", "dlib-hog-fast", "mediapipe"])
@pytest.mark.parametrize("size", [(1, 1), (47, 63), (10, 500)])
def test_none_is_found_where_none_is(name, size):
    assert load_detector(name)(np.full((*size, 3), 128, dtype=np.uint8)) == []


def test_small_pictures_are_not_made_smaller():
    for height, width in ((224, 224), (360, 480), (1, 1)):
        frame = drawn(height // 5, height, width)
        assert load_detector("dlib-hog-fast")(frame) == load_detector("dlib-hog")(frame)


@pytest.mark.parametrize(("height", "width"), [(480, 854), (720, 1280), (1080, 1920), (1440, 900)])
def test_on_a_smaller_picture_faces_are_where_they_were(height, width):
    frame = drawn(120, height, width)
    (fast,) = load_detector("dlib-hog-fast")(frame)
    small = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    # The exact one at full size takes half a second; at half size, a pixel is two.
    (exact,) = load_detector("dlib-hog")(small)
    assert iou(fast, type(fast)(*(2 * edge for edge in exact))) > 0.75


@pytest.mark.parametrize("name", ["dlib-hog", "mediapipe"])
def test_several_threads_at_once_find_what_one_finds(name):
    find = load_detector(name)
    frames = [drawn(radius) for radius in range(30, 60, 5)]
    alone = [find(frame) for frame in frames]
    n_threads = threading.active_count()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find, frames)) == alone
    assert threading.active_count() <= n_threads
