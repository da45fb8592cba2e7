from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from slt.core.errors import SltError, UserError
from slt.video.decode import open_video
from slt.video.rate import to_working_rate
from tests.video.films import write_film


@pytest.fixture
def not_root():
    """Give up root's rights for a while, since nothing is forbidden to root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> bytes:
    path = write_film(tmp_path_factory.mktemp("film") / "film.mp4", n=30, muxer={"movflags": "faststart"})
    return path.read_bytes()


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.mp4 does not exist") as caught:
        open_video(tmp_path / "nothing.mp4")
    assert str(tmp_path) in caught.value.fix


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="does not exist"):
        open_video(tmp_path / "a.mp4" / "b.mp4")


@pytest.mark.parametrize("name", ["x" * 300, "null\0byte"])
def test_a_name_no_file_can_have(tmp_path, name):
    with pytest.raises(UserError, match="is no file's name"):
        open_video(tmp_path / name)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match=r"a\.mp4 is empty \(0 bytes\)"):
        open_video(tmp_path / "a.mp4")


def test_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        open_video(tmp_path / "pipe.mp4")


@pytest.mark.usefixtures("not_root")
@pytest.mark.parametrize("what", ["file", "folder", "the folder around it"])
def test_permission_denied(what):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        path.write_bytes(b"x")
        locked = path if what == "file" else path.parent
        locked.chmod(0)
        with pytest.raises(UserError, match="may not be read: permission denied"):
            open_video(path if what == "the folder around it" else locked)
        locked.chmod(0o700)


def test_a_failing_disk(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("slt.video.decode.os.stat", fail)
    with pytest.raises(SltError, match="could not be read: Input/output error"):
        open_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n" * 200,
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b"\x00" * 5000,
        random.Random(0).randbytes(20_000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    ],
    ids=["text", "a web page", "zeros", "noise", "a playlist"],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.webm", "a"])
def test_what_is_no_video(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="is not a video that FFmpeg can read") as caught:
        open_video(tmp_path / name)
    assert "truncated or damaged" in caught.value.fix


def test_a_file_may_not_make_us_read_another(tmp_path, film):
    (tmp_path / "secret.mp4").write_bytes(film)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(UserError, match="is not a video that FFmpeg can read"):
        open_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["http:a.mp4", "concat:a.mp4|b.mp4", "frame%03d.mp4", "-i.mp4", "Gebärde ✋.mp4"])
def test_a_name_is_only_a_name(tmp_path, film, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(film)
    assert len(list(open_video(Path(name)).frames())) == 30


@pytest.mark.parametrize("share", [0.4, 0.5, 0.6, 0.8, 0.95, 0.999])
def test_a_film_cut_off_is_read_as_far_as_it_goes_and_says_so(tmp_path, film, share):
    path = tmp_path / "cut.mp4"
    path.write_bytes(film[: int(len(film) * share)])
    video = open_video(path)
    n_frames = len(list(video.frames()))
    assert 0 < n_frames < 30
    assert f"the file says 30 frames, {n_frames} could be decoded: it is truncated" in video.warnings


@pytest.mark.parametrize("share", [0.001, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2])
def test_a_film_cut_off_before_its_first_frame_says_so(tmp_path, film, share):
    path = tmp_path / "cut.mp4"
    path.write_bytes(film[: int(len(film) * share)])
    with pytest.raises(UserError, match=r"is not a video|holds no video|none of its 30 frames") as caught:
        open_video(path)
    assert "truncated or damaged" in f"{caught.value} {caught.value.fix}"


@pytest.mark.slow
def test_sixty_damaged_films_end_in_frames_or_in_an_error_of_ours(tmp_path, film):
    chance = random.Random(60)
    path = tmp_path / "damaged.mp4"
    for _ in range(60):
        path.write_bytes(damaged(film, chance))
        with suppress(UserError):
            video = to_working_rate(open_video(path))
            frames = [frame.shape for frame in video.frames()]
            assert set(frames) == {(video.info.height, video.info.width, 3)}


def damaged(film: bytes, chance: random.Random) -> bytes:
    """Change single bytes, overwrite a segment, leave one out, or break the header."""
    data = bytearray(film)
    kind = chance.randrange(4)
    start = chance.randrange(len(data) if kind else 2000)
    if kind == 0:
        data[start : start + 4] = chance.choice([b"\0" * 4, b"\xff" * 4, chance.randbytes(4)])
    elif kind == 1:
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 2:
        data[start : start + 1000] = chance.randbytes(1000)
    else:
        del data[start : start + chance.randrange(1, 500)]
    return bytes(data)
