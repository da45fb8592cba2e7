from __future__ import annotations

from itertools import islice, pairwise

import av
import cv2
import numpy as np
import pytest
from av.error import InvalidDataError
from av.stream import Disposition

from slt.core.errors import UserError
from slt.video import file as video_file
from slt.video.decode import open_video
from tests.video.films import BLUE, GREEN, RED, number_of, picture, silence, write_film

KINDS = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "ts": {},
    "webm": {"codec": "libvpx-vp9"},
    "avi": {"codec": "mpeg4"},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def corners(frame: np.ndarray) -> list[str]:
    """Name the colours of the corners: top left, top right, bottom left, bottom right."""
    found = []
    for y, x in ((2, 2), (2, -3), (-3, 2), (-3, -3)):
        distance = {
            name: np.abs(frame[y, x].astype(int) - colour).sum()
            for name, colour in {"red": RED, "green": GREEN, "blue": BLUE}.items()
        }
        nearest = min(distance, key=distance.__getitem__)
        found.append(nearest if distance[nearest] < 150 else "grey")
    return found


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("size", [(48, 64), (47, 63)], ids=["even", "odd"])
def test_files_of_every_kind(tmp_path, suffix, size):
    about = dict(KINDS[suffix])
    if size[0] % 2 and about.get("codec", "libx264") in ("libx264", "mpeg4"):
        # 4:2:0 has no odd sizes in H.264: half a colour sample cannot be stored.
        about |= {"codec": "libx264", "pix_fmt": "yuv444p"} if "codec" not in about else {"codec": "ffv1"}
    video = open_video(write_film(tmp_path / f"film.{suffix}", size=size, **about))
    frames = list(video.frames())
    assert (video.info.height, video.info.width, video.info.fps) == (*size, 25)
    assert video.info.n_frames == len(frames) == 12
    assert all(frame.shape == (*size, 3) and frame.dtype == np.uint8 and frame.flags.c_contiguous for frame in frames)
    assert video.warnings == []
    assert corners(frames[0])[:3] == ["red", "green", "blue"]
    if suffix != "gif":  # whose 256 colours hold too few greys to tell neighbours apart
        assert corners(frames[0])[3] == "grey"
        assert [number_of(frame) for frame in frames] == list(range(12))
    assert [time for time, _ in video.timed_frames()] == pytest.approx([index / 25 for index in range(12)], abs=0.002)


@pytest.mark.parametrize("fps", [8, 24, 30, 60])
def test_rates(tmp_path, fps):
    assert open_video(write_film(tmp_path / "film.mp4", fps=fps)).info.fps == fps
    assert open_video(write_film(tmp_path / "film.mkv", fps=fps)).info.fps == fps


def test_sound_does_not_disturb(tmp_path):
    video = open_video(write_film(tmp_path / "film.mp4", sound=True))
    assert [number_of(frame) for frame in video.frames()] == list(range(12))


def test_a_file_can_be_read_again_and_left_early(tmp_path):
    video = open_video(write_film(tmp_path / "film.mp4"))
    frames = video.frames()
    assert number_of(next(frames)) == 0
    frames.close()
    assert [number_of(frame) for frame in video.frames()] == list(range(12))
    both = zip(video.frames(), video.frames(), strict=True)
    assert all((one == other).all() for one, other in both)


def test_frames_are_those_opencv_decodes(tmp_path):
    path = write_film(tmp_path / "film.mp4")
    reader = cv2.VideoCapture(str(path))
    for frame in open_video(path).frames():
        np.testing.assert_array_equal(frame, cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB))
    assert not reader.read()[0]


def test_one_frame(tmp_path):
    for suffix in ("mp4", "mkv", "webm", "gif"):
        video = open_video(write_film(tmp_path / f"film.{suffix}", n=1, **KINDS[suffix]))
        assert len(list(video.frames())) == 1
        assert video.info.fps == 25


def test_a_single_picture_is_a_video_of_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    assert len(list(open_video(tmp_path / "a.png").frames())) == 1


def test_transparency_is_dropped(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "argb"
        pixels = np.dstack([np.zeros((48, 64), np.uint8), picture(9)])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="argb")))
        container.mux(stream.encode(None))
    (frame,) = open_video(tmp_path / "a.mov").frames()
    np.testing.assert_array_equal(frame, picture(9))


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_phone_held_in_any_way(tmp_path, degrees, mirror):
    video = open_video(write_film(tmp_path / "film.mp4", n=1, turn=(degrees, *mirror)))
    expected = np.rot90(picture(0), degrees // 90)
    expected = expected[:: -1 if mirror[1] else 1, :: -1 if mirror[0] else 1]
    (frame,) = video.frames()
    assert (video.info.height, video.info.width) == expected.shape[:2] == frame.shape[:2]
    assert corners(frame) == corners(expected)
    assert frame.flags.c_contiguous


def test_a_variable_rate_is_averaged_and_its_times_are_kept(tmp_path):
    def at(number: int) -> int:
        return 40 * number + 7 * (number % 3)

    for suffix in ("mp4", "mkv"):
        video = open_video(write_film(tmp_path / f"film.{suffix}", n=30, at_ms=at))
        assert video.info.fps == pytest.approx(25, rel=0.02)
        assert [time for time, _ in video.timed_frames()] == pytest.approx([at(i) / 1000 for i in range(30)], abs=0.002)


def test_a_rate_the_header_gets_wrong_is_measured(tmp_path):
    video = open_video(write_film(tmp_path / "film.mkv", n=20, fps=25, at_ms=lambda number: 100 * number))
    assert video.info.fps == pytest.approx(10, rel=0.01)


def test_frames_hidden_by_an_edit_are_not_missing(tmp_path):
    hidden = {"avoid_negative_ts": "disabled"}
    video = open_video(write_film(tmp_path / "film.mp4", n=30, at_ms=lambda number: 40 * (number - 10), muxer=hidden))
    assert [number_of(frame) for frame in video.frames()] == list(range(10, 30))
    assert video.warnings == []


@pytest.mark.parametrize("suffix", ["mkv", "webm", "avi", "gif"])
@pytest.mark.parametrize("share", [0.75, 0.9])
def test_other_files_cut_off_say_so_too(tmp_path, suffix, share):
    whole = write_film(tmp_path / f"film.{suffix}", n=40, **KINDS[suffix]).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    video = open_video(path)
    n_frames = len(list(video.frames()))
    assert 0 < n_frames < 40
    assert any("it is truncated" in warning for warning in video.warnings)


def test_a_fragmented_film_cut_off(tmp_path):
    fragments = {"movflags": "frag_every_frame+empty_moov"}
    whole = write_film(tmp_path / "film.mp4", n=40, muxer=fragments)
    assert len(list(open_video(whole).frames())) == 40
    assert open_video(whole).info.n_frames == 40
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < len(list(open_video(whole).frames())) < 40


def test_a_film_that_was_never_finished(tmp_path):
    path = write_film(tmp_path / "film.mp4", n=40)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="is not a video that FFmpeg can read") as caught:
        open_video(path)
    assert "truncated or damaged" in caught.value.fix


def test_damage_in_the_middle_is_counted_and_the_rest_is_read(tmp_path):
    path = write_film(tmp_path / "film.mp4", n=40)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[20:23]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    video = open_video(path)
    frames = list(video.frames())
    assert len(frames) == 37
    assert video.warnings == ["damaged pieces of the file that could not be decoded and were left out: 3"]
    assert [number_of(frame) for frame in frames[:20]] == list(range(20))


def test_a_file_that_breaks_off_in_the_middle_of_being_read(tmp_path, monkeypatch):
    path = write_film(tmp_path / "film.mp4", n=40)
    video = open_video(path)

    def broken(container, stream):
        yield from islice(container.demux(stream), 20)
        raise InvalidDataError(1, "broken")

    monkeypatch.setattr(video_file, "packets_of", broken)
    assert [number_of(frame) for frame in video.frames()] == list(range(20))
    assert video.warnings == [
        "damaged pieces of the file that could not be decoded and were left out: 1",
        "the file says 40 frames, 20 could be decoded: it is truncated",
    ]


def test_no_frame_can_be_decoded(tmp_path):
    path = write_film(tmp_path / "film.mp4", muxer={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 6])
    with pytest.raises(UserError, match="none of its 12 frames could be decoded: it is truncated or damaged"):
        open_video(path)


def test_no_frame_at_all(tmp_path):
    path = tmp_path / "film.mkv"
    whole = write_film(path).read_bytes()
    path.write_bytes(whole[: whole.index(b"\xa3", whole.index(b"\x1f\x43\xb6\x75"))])
    with pytest.raises(UserError, match="no frame could be decoded"):
        open_video(path)


def test_pictures_no_camera_makes(tmp_path, monkeypatch):
    path = write_film(tmp_path / "film.mp4")
    monkeypatch.setattr(video_file, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(UserError, match="or asks for over 3,071 pixels"):
        open_video(path)
    monkeypatch.setattr(video_file, "MAX_PIXELS", 128 * 128)
    assert len(list(open_video(path).frames())) == 12


def test_a_picture_that_changes_its_size(tmp_path):
    one = write_film(tmp_path / "one.ts", n=5).read_bytes()
    two = write_film(tmp_path / "two.ts", n=5, size=(96, 128)).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(one + two)
    video = open_video(path)
    frames = list(video.frames())
    assert [number_of(frame) for frame in frames] == [0, 1, 2, 3, 4] * 2
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert video.warnings == ["the picture changes its size from 64x48 to 128x96: later frames are resized"]
    assert video.info.fps == 25


def test_only_sound(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        container.mux([packet for chunk in silence() for packet in stream.encode(chunk)])
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"holds no video, only sound$") as caught:
        open_video(tmp_path / "a.mp4")
    assert "moving picture" in caught.value.fix


def test_a_songs_cover_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        cover = container.add_stream("png", rate=25)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "rgb24"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        container.mux([packet for chunk in silence() for packet in stream.encode(chunk)])
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no video, only sound and a cover picture"):
        open_video(tmp_path / "a.mp4")


def test_a_format_nobody_knows(tmp_path):
    path = write_film(tmp_path / "film.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(UserError, match="in a format that FFmpeg cannot decode") as caught:
        open_video(path)
    assert "convert it to H.264" in caught.value.fix


def test_a_file_that_vanishes_or_changes_between_two_readings(tmp_path):
    path = write_film(tmp_path / "film.mp4")
    video = open_video(path)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not a video"):
        list(video.frames())
    path.unlink()
    with pytest.raises(UserError, match="does not exist"):
        list(video.frames())


def test_frames_without_timestamps_are_evenly_spread(tmp_path):
    with (
        av.open(str(write_film(tmp_path / "film.mp4", fps=20))) as source,
        av.open(str(tmp_path / "film.h264"), "w") as bare,
    ):
        stream = bare.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                bare.mux(packet)
    times = [time for time, _ in open_video(tmp_path / "film.h264").timed_frames()]
    assert len(times) == 12
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert steps == pytest.approx([steps[0]] * 11, abs=0.002)
