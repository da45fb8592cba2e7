from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import SltError, UserError
from slt.video import isolated
from slt.video.decode import isolate_decoders, open_video
from slt.video.isolated import DecoderLimits, open_isolated
from tests.bundles import clip, write_clip  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow  # starting the first decoder takes most of a second
LIMITS = DecoderLimits()


@pytest.fixture
def in_processes():
    isolate_decoders(LIMITS)
    yield
    isolate_decoders(None)


def test_frames_and_facts_are_those_of_decoding_here(clip):  # noqa: F811
    here, there = open_video(clip), open_isolated(clip, LIMITS)
    assert here.info == there.info
    assert not isinstance(here, isolated.IsolatedVideo)
    for one, other in zip(here.timed_frames(), there.timed_frames(), strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    later = [time for time, _ in here.frames_from(0.8)]
    assert later == [time for time, _ in there.frames_from(0.8)]
    assert later[0] == pytest.approx(0.8)


def test_once_asked_for_every_file_is_decoded_so(in_processes, clip, tmp_path):  # noqa: F811
    assert isinstance(open_video(clip), isolated.IsolatedVideo)
    isolate_decoders(None)
    assert not isinstance(open_video(clip), isolated.IsolatedVideo)


def test_errors_and_warnings_come_through(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(UserError, match="is not a video that FFmpeg can read") as caught:
        open_isolated(text, LIMITS)
    assert caught.value.fix
    whole = write_clip(tmp_path / "whole.mkv", 60)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:-3000])
    video = open_isolated(cut, LIMITS)
    assert len(list(video.frames())) < 60
    assert any("truncated" in warning for warning in video.warnings)


def test_who_leaves_early_leaves_no_process(clip):  # noqa: F811
    frames = open_isolated(clip, LIMITS).frames()
    next(frames)
    frames.close()
    assert not [process for process in isolated._forkserver.active_children() if process.is_alive()]


def test_a_decoder_that_takes_too_much_fails_alone(clip):  # noqa: F811
    with pytest.raises(UserError, match=r"decoding it (failed in the decoder's own process|takes more than 0\.1 GB)"):
        open_isolated(clip, DecoderLimits(memory_bytes=100_000_000))


def test_nothing_that_a_decoder_sends_is_believed_blindly(clip, monkeypatch):  # noqa: F811
    for answer, said in ((b"\x80\x04no json", "makes no sense"), (b"", "makes no sense")):
        monkeypatch.setattr(isolated, "_receive", lambda *_, answer=answer: answer)
        with pytest.raises(UserError, match=said):
            open_isolated(clip, LIMITS)
    answer = b'{"error": "the disk failed", "fix": null, "is_user_error": false}'
    monkeypatch.setattr(isolated, "_receive", lambda *_: answer)
    with pytest.raises(SltError, match="the disk failed"):
        open_isolated(clip, LIMITS)
    monkeypatch.undo()
    video = open_isolated(clip, LIMITS)
    monkeypatch.setattr(isolated, "_receive", lambda *_: isolated.HEAD.pack(0.0, 9, 9))
    with pytest.raises(UserError, match="it sent a frame of another size"):
        next(video.frames())


def test_a_decoder_is_confined(tmp_path):
    """It cannot write a file, and has no network where the system allows to take it away."""
    other = tmp_path / "other"
    other.write_text("somebody's")
    ours, theirs = isolated.multiprocessing.Pipe(duplex=False)
    process = isolated._forkserver.Process(target=_try_to_escape, args=(theirs, str(tmp_path / "written"), str(other)))
    process.start()
    assert ours.recv_bytes() == b"cannot write"
    assert ours.recv_bytes() in ((b"cannot read",) if _has_landlock() else (b"cannot read", b"read"))
    process.join()


def _has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(isolated.CREATE_RULESET, None, 0, 1) > 0


def _try_to_escape(connection, path: str, other: str) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as an error and not the end of the process
    isolated._confine(LIMITS, path)
    try:
        Path(path).write_bytes(b"x" * 10)
        connection.send_bytes(b"wrote")
    except OSError:
        connection.send_bytes(b"cannot write")
    try:
        Path(other).read_text()
        connection.send_bytes(b"read")
    except OSError:
        connection.send_bytes(b"cannot read")
    os._exit(0)
