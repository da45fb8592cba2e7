from __future__ import annotations

import numpy as np
import pytest

from slt.video.boxes import Box
from slt.video.tracks import choose_track, flow_magnitude, largest_track, link_tracks, motion_in_boxes
from tests.video.films import MadeUp


def synthetic(height: int, width: int, time: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    red, green = (7 * x + 3 * y + 11 * time) % 256, (x * y + 5 * time) % 256
    blue = ((x // 4 + y // 4) % 2) * 200 + (x + 2 * y + time) % 56
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def seen_in(case: dict) -> list[list[Box]]:
    return [[Box(*map(float, box)) for box in boxes] for boxes in case["boxes"]]


def motion_from(flow: np.ndarray):
    def motion_of(tracks):
        return {
            (index, box): flow[index][int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)].mean()
            for track in tracks
            for index, box in track
        }

    return motion_of


@pytest.fixture
def tube_cases(crops):
    return {case["name"]: case for case in crops["tubes"]}


def test_boxes_are_linked_as_published(tube_cases):
    for case in tube_cases.values():
        tracks = link_tracks(seen_in(case), threshold=case["iou_threshold"])
        assert tracks == [[(index, Box(*box)) for index, box in track] for track in case["tubes"]]


def test_linking_leaves_its_input_alone(tube_cases):
    seen = seen_in(tube_cases["moving_left"])
    link_tracks(seen)
    assert seen == seen_in(tube_cases["moving_left"])


def test_the_one_who_moves_is_chosen_as_published(tube_cases, crop_arrays):
    for case in tube_cases.values():
        tracks = link_tracks(seen_in(case), threshold=case["iou_threshold"])
        share = case["num_ratio_threshold"]
        chosen = choose_track(tracks, 12, motion_from(crop_arrays[case["flow_key"]]), share=share)
        assert (None if chosen is None else list(chosen)) == case["target_bbox"], case["name"]


def test_when_none_stays_the_largest_is_chosen_as_published(tube_cases):
    case = tube_cases["all_too_short"]
    tracks = link_tracks(seen_in(case), threshold=case["iou_threshold"])
    assert list(largest_track(tracks)) == case["fallback_bbox_from_tubes"]


def test_the_published_size_may_leave_none():
    assert largest_track([[(0, Box(60, 14, 81, 36))]]) is None
    assert largest_track([]) is None


def test_motion_is_not_measured_for_one_candidate():
    def forbidden(tracks):
        raise AssertionError("nobody is there to compare with")

    stays, comes = Box(0, 0, 9, 9), Box(50, 0, 59, 9)
    tracks = link_tracks([[stays, comes], [stays], [stays]])
    assert choose_track(tracks, 3, forbidden) == stays


def test_flow_is_the_published_one(crop_arrays):
    frames = [synthetic(60, 100, time) for time in range(4)]
    before = None
    for frame, expected in zip(frames, crop_arrays["optical_flow.60x100"], strict=True):
        np.testing.assert_array_equal(flow_magnitude(before, frame), expected)
        before = small(frame)


def small(frame: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (frame.shape[1] // 2, frame.shape[0] // 2))


def test_flow_is_computed_on_a_picture_shrunk_as_published(crops, monkeypatch):
    import cv2

    sizes = []
    monkeypatch.setattr(cv2, "resize", lambda picture, size, **_: sizes.append(size) or np.zeros(size[::-1], np.uint8))
    for width, ratio in crops["scale_ratio_by_width"].items():
        frame = np.zeros((8, int(width), 3), dtype=np.uint8)
        motion_in_boxes(MadeUp([frame, frame]), [[(1, Box(0, 0, 1, 1))]], every=1)
        assert sizes[0] == (int(int(width) * ratio), max(int(8 * ratio), 1)), width
        sizes.clear()


def test_motion_is_measured_where_the_boxes_are_and_no_further():
    frames = [np.zeros((40, 80, 3), dtype=np.uint8) for _ in range(40)]
    for index, frame in enumerate(frames):
        frame[10:20, 50 + index % 8 : 60 + index % 8] = 255
    video = MadeUp(frames)
    left, right, outside = Box(0, 0, 30, 39), Box(45, 0, 79, 39), Box(200, 200, 210, 210)
    tracks = [[(0, left), (2, left)], [(0, right), (2, right)], [(2, outside)]]
    motion = motion_in_boxes(video, tracks, every=4)
    assert motion[0, left] == motion[0, right] == 0
    assert motion[2, right] > 5 * motion[2, left]
    assert motion[2, outside] == 0
    assert video.frames_read == 9


def test_a_picture_of_one_pixel_has_no_flow():
    frame = np.zeros((1, 1, 3), dtype=np.uint8)
    assert motion_in_boxes(MadeUp([frame, frame]), [[(1, Box(0, 0, 1, 1))]], every=1) == {(1, Box(0, 0, 1, 1)): 0}
