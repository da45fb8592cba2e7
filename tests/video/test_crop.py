from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.base import VideoInfo
from slt.video.boxes import Box, grow
from slt.video.crop import _n_detector_threads, crop_resize, find_signer
from slt.video.windows import feature_rows, plan_windows
from tests.video.films import MadeUp, draw_face, number_of, numbered, picture

BLANK = np.zeros((60, 100, 3), dtype=np.uint8)


@pytest.fixture
def detector(monkeypatch):
    """Return a function that makes find_signer see given faces, one list per frame looked at."""

    def see(faces: list[list[Box]]) -> None:
        waiting = iter(faces)
        monkeypatch.setattr("slt.video.crop.load_detector", lambda name: lambda frame: next(waiting))
        monkeypatch.setattr("slt.video.crop._n_detector_threads", lambda info: 1)  # so that they are taken in order

    return see


def test_crops_are_the_published_pixels(crops, crop_arrays):
    for case in crops["crops"]:
        frames = crop_arrays[f"image.{case['frame']}"]
        for frame, expected in zip(frames, crop_arrays[case["key"]], strict=True):
            cut = crop_resize(frame, Box(*case["bbox"]), case["target_size"])
            np.testing.assert_array_equal(cut, expected, err_msg=case["name"])


def test_a_box_outside_the_picture_is_black():
    white = np.full((60, 100, 3), 255, dtype=np.uint8)
    for box in [Box(300, 10, 360, 70), Box(-90, 0, -30, 60), Box(0, 200, 60, 260), Box(-99, -99, -9, -9)]:
        assert not crop_resize(white, box, 16).any()


def test_a_picture_of_the_right_size_is_left_alone():
    frame = picture(7, (96, 96))
    np.testing.assert_array_equal(crop_resize(frame, Box(0, 0, 96, 96), 96), frame)


@pytest.mark.parametrize("box", [Box(10, 10, 10, 10), Box(60, 60, 10, 10), Box(0.2, 0.2, 0.9, 0.9)])
def test_a_box_without_pixels(box):
    with pytest.raises(UserError, match="holds no pixel: expected x1 < x2 and y1 < y2"):
        crop_resize(BLANK, box, 16)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_box_that_is_no_box(wrong):
    with pytest.raises(UserError, match="is not made of numbers"):
        crop_resize(BLANK, Box(10, wrong, 20, 20), 16)


def test_the_real_clips_faces_give_its_box_and_windows(real_clip, detector):
    faces = [[Box(*box) for box in boxes] for boxes in real_clip["hog_boxes_upsample1"]]
    assert [[list(grow(face)) for face in boxes] for boxes in faces] == real_clip["expanded_boxes"]
    detector(faces)
    signer = find_signer(numbered(real_clip["n_frames"]), "dlib-hog")
    assert list(signer.box) == real_clip["bbox"]
    assert (signer.method, signer.note) == ("mean of faces", None)
    assert (signer.n_looked, signer.n_detected, signer.max_faces) == (12, 12, 1)
    windows = plan_windows(real_clip["n_frames"], real_clip["fps"])
    assert [[window.start, window.end] for window in windows] == real_clip["window_start_end"]
    assert [window.indices.tolist() for window in windows] == real_clip["indices"]
    assert [window.padding for window in windows] == real_clip["padding"]
    assert feature_rows(windows) == 48


def test_frames_are_looked_at_as_published(real_clip, monkeypatch):
    looked: list[int] = []
    monkeypatch.setattr(
        "slt.video.crop.load_detector",
        lambda name: lambda frame: looked.append(int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 1])) or [],
    )
    find_signer(numbered(real_clip["n_frames"]), "dlib-hog")
    assert looked == real_clip["detection_frame_indices"]


def test_without_a_detector_the_whole_picture_is_the_signer_and_nothing_is_read():
    video = MadeUp([picture(9, (48, 64))])
    signer = find_signer(video, "none")
    assert (signer.box, signer.method, signer.n_looked) == (Box(0, 0, 64, 48), "whole picture", 0)
    assert video.readings == 0
    cut = crop_resize(picture(9, (48, 64)), signer.box, 64)
    np.testing.assert_array_equal(cut[8:56], picture(9, (48, 64)))
    assert not cut[:8].any()
    assert not cut[56:].any()


def test_a_face_now_and_then_is_enough(detector):
    face = Box(90, 40, 130, 80)
    detector([[], [face], []])
    video = MadeUp([BLANK] * 48)
    signer = find_signer(video, "dlib-hog")
    assert signer.box == grow(face)
    assert (signer.method, signer.n_looked, signer.n_detected) == ("mean of faces", 3, 1)
    assert video.readings == 1


def test_no_face(detector):
    detector([[], []])
    video = MadeUp([np.zeros((480, 640, 3), dtype=np.uint8)] * 20)
    signer = find_signer(video, "dlib-hog")
    assert (signer.box, signer.method, signer.max_faces) == (Box(200, 120, 440, 360), "centre", 0)
    assert "no face was found in 2 frames" in signer.note
    assert video.readings == 1


def test_of_two_people_the_one_who_moves_is_the_signer(detector):
    frames = [np.zeros((120, 400, 3), dtype=np.uint8) for _ in range(48)]
    for index, frame in enumerate(frames):
        frame[60:90, 280 + 2 * (index % 8) : 300 + 2 * (index % 8)] = 255
    left, right = Box(80, 20, 99, 39), Box(290, 20, 309, 39)
    for faces in ([left, right], [right, left]):
        detector([faces] * 3)
        video = MadeUp(frames)
        signer = find_signer(video, "dlib-hog")
        assert (signer.box, signer.method, signer.max_faces) == (grow(right), "moving face", 2)
        assert "up to 2 people" in signer.note
        assert video.readings == 2


def test_a_second_face_that_is_soon_gone_needs_no_second_reading(detector):
    stays = Box(80, 20, 99, 39)
    detector([[stays, Box(290, 20, 309, 39)], [stays], [stays]])
    video = MadeUp([BLANK] * 48)
    signer = find_signer(video, "dlib-hog")
    assert (signer.box, signer.method) == (grow(stays), "moving face")
    assert video.readings == 1


def test_of_people_who_come_and_go_a_large_one_is_the_signer(detector):
    left, right = Box(20, 50, 39, 69), Box(290, 20, 309, 39)
    detector([[left, right], [], [], []])
    signer = find_signer(MadeUp([BLANK] * 64), "dlib-hog")
    assert (signer.box, signer.method) == (grow(left), "largest face")
    assert "none stays for long" in signer.note


def test_people_whom_the_published_size_makes_nothing_of(detector):
    detector([[Box(300, 20, 320, 40), Box(600, 20, 620, 40)], [], [], []])
    signer = find_signer(MadeUp([BLANK] * 64), "dlib-hog")
    assert (signer.box, signer.method) == (Box(35, 15, 65, 45), "centre")
    assert "up to 2 people are in the picture: none stands out" in signer.note


@pytest.mark.slow
def test_a_drawn_person_is_found_from_end_to_end():
    frame = np.full((240, 320, 3), (90, 110, 140), dtype=np.uint8)
    draw_face(frame, 200, 70, 30)
    signer = find_signer(MadeUp([frame] * 20), "dlib-hog")
    assert (signer.method, signer.n_looked, signer.n_detected) == ("mean of faces", 2, 2)
    assert signer.box.x1 < 170 < 230 < signer.box.x2
    assert signer.box.y1 < 40 < 150 < signer.box.y2
    assert crop_resize(frame, signer.box, 224).shape == (224, 224, 3)


def test_a_video_of_one_frame(detector):
    detector([[]])
    assert find_signer(MadeUp([picture(3)]), "dlib-hog").method == "centre"
    assert number_of(picture(3)) == 3


@pytest.mark.parametrize("every", [0, -16])
def test_looking_never(every):
    with pytest.raises(UserError, match="expected 1 or more"):
        find_signer(MadeUp([BLANK]), "dlib-hog", every=every)


def test_an_unknown_detector():
    with pytest.raises(UserError, match="unknown face detector 'hog'"):
        find_signer(MadeUp([BLANK]), "hog")


@pytest.mark.slow
def test_auto_asks_the_next_where_the_first_sees_nobody():
    aside = np.full((240, 320, 3), (90, 110, 140), dtype=np.uint8)
    draw_face(aside, 160, 90, 40)
    signer = find_signer(MadeUp([aside]), "auto")
    assert (signer.detector, signer.method, signer.n_detected) == ("dlib-hog-fast", "mean of faces", 1)
    tilted = cv2.warpAffine(
        aside, cv2.getRotationMatrix2D((160, 90), 40, 1), (320, 240), borderMode=cv2.BORDER_REPLICATE
    )
    assert find_signer(MadeUp([tilted]), "dlib-hog-fast").method == "centre"
    signer = find_signer(MadeUp([tilted]), "auto")
    assert (signer.detector, signer.method, signer.n_detected) == ("mediapipe", "mean of faces", 1)
    assert find_signer(MadeUp([BLANK] * 20), "auto").detector == "mediapipe"


@pytest.mark.slow
def test_looking_at_several_frames_at_once_changes_nothing(monkeypatch):
    frames = []
    for number in range(6):
        frame = np.full((200, 260, 3), (90, 110, 140), dtype=np.uint8)
        draw_face(frame, 100 + 5 * number, 70, 30)
        frames.append(frame)
    found = []
    for n_threads in (1, 4):
        monkeypatch.setattr("slt.video.crop._n_detector_threads", lambda info, n=n_threads: n)
        found.append(find_signer(MadeUp(frames), "dlib-hog", every=1))
    assert found[0] == found[1]
    assert found[0].n_detected > 4


def test_fewer_large_frames_are_looked_at_at_once(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)))
    sizes = [(224, 224), (720, 1280), (1080, 1920), (2160, 3840), (4320, 7680)]
    infos = [VideoInfo(path=Path("a"), fps=25, n_frames=1, height=height, width=width) for height, width in sizes]
    assert [_n_detector_threads(info) for info in infos] == [8, 8, 4, 1, 1]


def test_a_detector_that_fails_is_heard_of(monkeypatch):
    def broken(frame):
        raise ZeroDivisionError("by a face of no width")

    monkeypatch.setattr("slt.video.crop.load_detector", lambda name: broken)
    with pytest.raises(ZeroDivisionError, match="of no width"):
        find_signer(MadeUp([BLANK] * 100), "dlib-hog")
