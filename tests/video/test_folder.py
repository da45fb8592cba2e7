from __future__ import annotations

import cv2
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.decode import open_video
from tests.video.films import RED, number_of, picture


def save(path, frame):
    cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


def test_frames_come_in_natural_order_at_25_per_second(tmp_path):
    for number in (0, 1, 2, 9, 10, 11):
        save(tmp_path / f"frame{number}.png", picture(number))
    video = open_video(tmp_path)
    assert [number_of(frame) for frame in video.frames()] == [0, 1, 2, 9, 10, 11]
    assert [number_of(frame) for frame in video.frames()] == [0, 1, 2, 9, 10, 11]
    assert [time for time, _ in video.timed_frames()] == [index / 25 for index in range(6)]
    assert (video.info.fps, video.info.n_frames, video.info.height, video.info.width) == (25, 6, 48, 64)
    assert video.warnings == []


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "JPG", "webp", "bmp"])
def test_kinds_of_images(tmp_path, suffix):
    save(tmp_path / f"1.{suffix}", picture(5, (47, 63)))
    (frame,) = open_video(tmp_path).frames()
    assert frame.shape == (47, 63, 3)
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame[:8, :10].mean(axis=(0, 1)), RED, atol=12)


@pytest.mark.parametrize(
    "image",
    [
        np.full((8, 9), 200, np.uint8),
        np.full((8, 9), 200 * 257, np.uint16),
        np.full((8, 9, 4), (200, 200, 200, 0), np.uint8),
    ],
    ids=["grey", "16 bits", "transparent"],
)
def test_every_image_becomes_three_bytes_a_pixel(tmp_path, image):
    cv2.imwrite(str(tmp_path / "1.png"), image)
    (frame,) = open_video(tmp_path).frames()
    np.testing.assert_array_equal(frame, np.full((8, 9, 3), 200, np.uint8))


def test_what_is_no_frame_is_passed_over(tmp_path):
    save(tmp_path / "1.png", picture(1))
    (tmp_path / "._1.png").write_bytes(b"a Mac's droppings")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "more").mkdir()
    assert len(list(open_video(tmp_path).frames())) == 1


def test_names_of_any_kind_can_be_put_in_order(tmp_path):
    for number, name in enumerate(["1.png", "1a.png", "02.png", "a1.png", "a.png", "b.png"]):
        save(tmp_path / name, picture(number))
    assert [number_of(frame) for frame in open_video(tmp_path).frames()] == [0, 1, 2, 3, 4, 5]


def test_a_folder_without_images(tmp_path):
    (tmp_path / "1").mkdir()
    save(tmp_path / "1" / "1.png", picture(1))
    with pytest.raises(UserError, match="holds no images") as caught:
        open_video(tmp_path)
    assert "the folder that holds the frames themselves" in caught.value.fix


def test_frames_of_different_sizes(tmp_path):
    save(tmp_path / "1.png", picture(1))
    save(tmp_path / "2.png", picture(2, (50, 64)))
    with pytest.raises(UserError, match=r"2\.png is 64x50, expected 64x48 like 1\.png"):
        list(open_video(tmp_path).frames())


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_broken_frame_is_named(tmp_path, content):
    save(tmp_path / "1.png", picture(1))
    (tmp_path / "2.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"2\.png is not an image that can be read \({len(content)} bytes\)"):
        list(open_video(tmp_path).frames())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_a_frame_cut_off_is_named(tmp_path, suffix, share):
    image = tmp_path / f"1.{suffix}"
    save(image, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = image.read_bytes()
    image.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=rf"1\.{suffix} is not an image that can be read"):
        open_video(tmp_path)


def test_what_opencv_cannot_bear_is_named(tmp_path, monkeypatch):
    save(tmp_path / "1.png", picture(1))

    def refuse(*_):
        raise cv2.error("too large")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(UserError, match=r"the frame .*1\.png could not be decoded"):
        open_video(tmp_path)


def test_a_frame_that_vanishes(tmp_path):
    for number in (1, 2):
        save(tmp_path / f"{number}.png", picture(number))
    frames = open_video(tmp_path).frames()
    next(frames)
    (tmp_path / "2.png").unlink()
    with pytest.raises(UserError, match=r"2\.png does not exist"):
        next(frames)
