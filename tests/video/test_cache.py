from __future__ import annotations

from weakref import WeakSet

import numpy as np
import pytest

from slt.video.base import Picture
from slt.video.cache import CachedVideo
from slt.video.decode import open_video
from slt.video.rate import to_working_rate
from tests.video.films import MadeUp, number_of, numbered, numbers, picture, write_film


def look(video) -> int:
    return sum(1 for _ in video.timed_pictures())


def test_what_was_looked_at_is_not_decoded_again():
    source = numbered(20)
    video = CachedVideo(source)
    assert look(video) == 20
    assert numbers(video) == numbers(video) == list(range(20))
    assert look(video) == 20
    assert source.readings == 1


def test_too_many_to_keep_are_decoded_again():
    source = numbered(20)  # of three bytes each
    video = CachedVideo(source, cache_bytes=59)
    assert look(video) == 20
    assert numbers(video) == list(range(20))
    assert source.readings == 2


def test_no_more_is_held_than_allowed():
    alive: WeakSet[Picture] = WeakSet()
    held = []

    class Fresh(MadeUp):
        def timed_pictures(self):
            for number in range(10):
                made = Picture(pixels=lambda: picture(1), n_bytes=100)
                alive.add(made)
                held.append(len(alive))
                yield number / 25, made
                del made

    assert look(CachedVideo(Fresh([picture(1)]), cache_bytes=400)) == 10
    assert max(held) <= 6
    assert len(alive) <= 1


def test_a_look_that_was_left_early_is_no_whole_one():
    source = numbered(20)
    video = CachedVideo(source)
    pictures = video.timed_pictures()
    next(pictures)
    pictures.close()
    assert numbers(video) == list(range(20))
    assert source.readings == 2


def test_reading_frames_alone_keeps_none():
    source = numbered(5)
    video = CachedVideo(source)
    assert numbers(video) == numbers(video)
    assert source.readings == 2


def test_kept_pictures_of_a_file_are_its_frames(tmp_path):
    path = write_film(tmp_path / "film.mp4", turn=(90, False, False))
    video = CachedVideo(open_video(path))
    kept = [shown.pixels() for _, shown in list(video.timed_pictures())]
    for fresh, old, again in zip(open_video(path).frames(), kept, video.frames(), strict=True):
        np.testing.assert_array_equal(fresh, old)
        np.testing.assert_array_equal(fresh, again)
    assert [number_of(np.rot90(frame, -1)) for frame in kept] == list(range(12))


def test_a_picture_shown_several_times_is_kept_once():
    source = MadeUp([picture(number) for number in range(8)], fps=8)
    video = CachedVideo(to_working_rate(source), cache_bytes=8 * picture(0).nbytes)
    assert look(video) == 25
    assert {number_of(frame) for frame in video.frames()} == set(range(8))
    assert source.readings == 1


def test_warnings_are_the_sources():
    video = CachedVideo(MadeUp([picture(1)], warnings=["odd"]))
    video.warn("odder")
    assert video.warnings == ["odd", "odder"]


@pytest.mark.parametrize("wanted", [0, 3])
def test_a_folders_images_are_read_when_they_are_looked_at(tmp_path, wanted):
    import cv2

    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number)[..., ::-1])
    shown = [one for _, one in open_video(tmp_path).timed_pictures()]
    (tmp_path / "1.png").write_bytes(b"no image")
    assert number_of(shown[wanted].pixels()) == wanted
