from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from tests.video.films import numbered, numbers


def test_frames_start_anew_each_time():
    video = numbered(5)
    assert numbers(video) == numbers(video) == [0, 1, 2, 3, 4]
    assert video.readings == 2


def test_a_warning_is_given_once():
    video = numbered(1, warnings=["old"])
    video.warn("new")
    video.warn("new")
    assert video.warnings == ["old", "new"]


def test_leaving_early_reads_no_further():
    video = numbered(100)
    frames = video.frames()
    next(frames)
    frames.close()
    assert video.frames_read == 1


def test_facts_do_not_change():
    with pytest.raises(FrozenInstanceError):
        numbered(1).info.fps = 3  # type: ignore[misc]
