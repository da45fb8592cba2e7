"""Files whose pictures are shown otherwise than stored: late, with pixels that are not square, or not at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from slt.core.errors import UserError
from slt.video.decode import open_video
from slt.video.span import open_span
from tests.video.films import number_of, write_film


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov", "ts"])
@pytest.mark.parametrize("late_ms", [0, 40, 7500])
def test_a_stream_that_begins_late_is_complete(tmp_path, suffix, late_ms):
    codec = "libvpx" if suffix == "webm" else "libx264"
    film = write_film(tmp_path / f"late.{suffix}", n=20, codec=codec, at_ms=lambda number: late_ms + 40 * number)
    video = open_video(film)
    assert [number_of(frame) for frame in video.frames()] == list(range(20))
    assert not video.warnings
    span = open_span(film, 0.2, 0.4)
    assert [number_of(frame) for frame in span.frames()] == [5, 6, 7, 8, 9]


def test_a_late_stream_that_was_cut_off_is_truncated(tmp_path):
    film = write_film(tmp_path / "late.mkv", n=40, at_ms=lambda number: 7500 + 40 * number, encoder={"g": "5"})
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    video = open_video(film)
    assert len(list(video.frames())) < 40
    assert any("it is truncated" in warning for warning in video.warnings)


@pytest.mark.parametrize(
    ("aspect", "turn", "shown"),
    [
        (Fraction(2), None, (48, 128)),
        (Fraction(1, 2), None, (96, 64)),
        (Fraction(16, 11), None, (48, 93)),
        (Fraction(2), (90, False, False), (128, 48)),
    ],
)
def test_pixels_that_are_not_square_are_brought_to_their_shape(tmp_path, aspect, turn, shown):
    video = open_video(write_film(tmp_path / "wide.mp4", pixel_aspect=aspect, turn=turn))
    assert (video.info.height, video.info.width) == shown
    frames = list(video.frames())
    assert {frame.shape for frame in frames} == {(*shown, 3)}
    assert [number_of(frame) for frame in frames] == list(range(12))
    ratio = f"{aspect.numerator}:{aspect.denominator}"
    said = f"its pixels are not square ({ratio}): 64x48 as stored is shown as {shown[1]}x{shown[0]}"
    assert video.warnings == [said]


@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(200, 201), Fraction(50)])
def test_square_pixels_stay_as_they_are(tmp_path, aspect):
    plain = list(open_video(write_film(tmp_path / "plain.mp4")).frames())
    video = open_video(write_film(tmp_path / "square.mp4", pixel_aspect=aspect))
    np.testing.assert_array_equal(list(video.frames()), plain)
    assert not video.warnings


def test_an_animated_webp_is_named(tmp_path):
    frames = [Image.fromarray(np.full((48, 64, 3), 40 * number, np.uint8)) for number in range(5)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], duration=40)
    with pytest.raises(UserError, match=r"moving\.webp is an animated WebP, which FFmpeg cannot decode; expected mp4"):
        open_video(tmp_path / "moving.webp")
    frames[0].save(tmp_path / "still.webp")
    assert len(list(open_video(tmp_path / "still.webp").frames())) == 1
