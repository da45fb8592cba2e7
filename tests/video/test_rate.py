from __future__ import annotations

from itertools import pairwise

import pytest

from slt.video.decode import open_video
from slt.video.rate import to_working_rate
from tests.video.films import number_of, numbered, numbers, write_film


@pytest.mark.parametrize("fps", [20, 23.976, 24, 25, 29.97, 30, 30.02, 19.98])
def test_from_20_to_30_nothing_changes(fps):
    video = numbered(10, fps=fps)
    assert to_working_rate(video) is video


@pytest.mark.parametrize("fps", [8, 19, 31, 60])
def test_raw_keeps_everything(fps):
    video = numbered(10, fps=fps)
    assert to_working_rate(video, raw=True) is video


def test_the_bounds_follow_the_target():
    assert to_working_rate(numbered(9, fps=50), target_fps=50).info.fps == 50
    assert to_working_rate(numbered(9, fps=25), target_fps=50).info.fps == 50


def test_at_twice_the_rate_every_second_frame_is_left():
    half = to_working_rate(numbered(100, fps=50))
    assert numbers(half) == list(range(0, 100, 2))
    assert half.info.fps == 25
    assert half.info.n_frames == 50


def test_at_half_the_rate_every_frame_is_there_twice():
    assert numbers(to_working_rate(numbered(40, fps=12.5))) == [index // 2 for index in range(80)]


def test_rounded_timestamps_do_not_make_the_pick_jump():
    jittery = [round(index / 50 + (0.001 if index % 3 else -0.001), 3) for index in range(100)]
    assert numbers(to_working_rate(numbered(100, fps=50, times=jittery))) == list(range(0, 100, 2))


def test_no_frame_of_a_slow_video_is_lost_and_the_clock_keeps_right():
    slow = to_working_rate(numbered(480, fps=8))
    shown = numbers(slow)
    assert len(shown) == slow.info.n_frames == 60 * 25
    assert sorted(set(shown)) == list(range(480))
    assert all(abs(index / 25 - number / 8) < 1 / 8 for index, number in enumerate(shown))


@pytest.mark.parametrize("fps", [31, 48, 59.94, 60, 90, 120, 240])
def test_a_fast_video_keeps_its_length_and_its_order(fps):
    video = to_working_rate(numbered(600, fps=fps))
    shown = numbers(video)
    assert abs(len(shown) - 600 / fps * 25) <= 1
    assert all(before < after for before, after in pairwise(shown))
    assert all(-1 / fps < index / 25 + 0.2 / 25 - number / fps < 2 / fps for index, number in enumerate(shown))


def test_uneven_timestamps_are_followed():
    video = numbered(4, fps=10, times=[5.0, 5.04, 5.24, 5.28])
    assert numbers(to_working_rate(video))[:8] == [0, 1, 1, 1, 1, 1, 2, 3]


def test_times_are_those_of_the_new_rate():
    times = [time for time, _ in to_working_rate(numbered(100, fps=50)).timed_frames()]
    assert times == [index / 25 for index in range(50)]


def test_a_frame_does_not_last_for_hours():
    video = to_working_rate(numbered(3, fps=10, times=[0, 0.1, 9999.0]))
    shown = numbers(video)
    assert len(shown) == pytest.approx((0.1 + 10 + 0.1) * 25, abs=1)
    assert "a frame that lasts 9999 s was shown for 10 s" in video.warnings


def test_a_clock_that_jumps_back_costs_nothing():
    video = numbered(6, fps=50, times=[0, 0.02, 0.04, 0, 0.02, 0.04])
    assert numbers(to_working_rate(video)) == [0, 2, 4]


def test_a_hopeless_rate_ends_all_the_same():
    assert 1 <= len(numbers(to_working_rate(numbered(3, fps=0.0001)))) <= 3 * 10 * 25


def test_one_frame_of_a_very_fast_video_is_kept():
    assert numbers(to_working_rate(numbered(1, fps=1000))) == [0]


def test_what_was_done_is_said():
    video = to_working_rate(numbered(10, fps=59.94, warnings=["old"]))
    assert video.warnings[0] == "old"
    assert "59.94 frames per second: it was brought to 25" in video.warnings[1]


def test_a_length_nobody_knows_stays_unknown():
    video = numbered(10, fps=50)
    object.__setattr__(video.info, "n_frames", None)
    assert to_working_rate(video).info.n_frames is None


def test_a_real_file(tmp_path):
    video = to_working_rate(open_video(write_film(tmp_path / "fast.mp4", n=30, fps=50)))
    assert [number_of(frame) for frame in video.frames()] == list(range(0, 30, 2))
    assert [number_of(frame) for frame in video.frames()] == list(range(0, 30, 2))


def test_a_real_file_of_variable_rate(tmp_path):
    film = write_film(tmp_path / "vfr.mp4", n=20, fps=10, at_ms=lambda i: 20 * i if i < 10 else 200 + 200 * (i - 10))
    video = to_working_rate(open_video(film))
    shown = [number_of(frame) for frame in video.frames()]
    assert shown[:5] == [0, 2, 4, 6, 8]
    assert shown[5:15] == [10] * 5 + [11] * 5
