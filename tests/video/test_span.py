from __future__ import annotations

import random
from itertools import pairwise

import cv2
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video import file as video_file
from slt.video.decode import open_video
from slt.video.span import n_frames_between, open_span
from tests.video.films import number_of, picture, write_film

# A key frame now and then, and between them pictures that are made from both sides: what a jump can get wrong.
GROUPS = {"preset": "veryfast", "g": "8", "bf": "3"}
KINDS = {
    "closed.mp4": {"encoder": {**GROUPS, "x264-params": "scenecut=0:open-gop=0"}},
    "open.mp4": {"encoder": {**GROUPS, "x264-params": "scenecut=0:open-gop=1"}},
    "open.mkv": {"encoder": {**GROUPS, "x264-params": "scenecut=0:open-gop=1"}},
    "uneven.mp4": {"encoder": GROUPS, "at_ms": lambda number: 40 * number + 13 * (number % 3)},
    "late.mp4": {"encoder": GROUPS, "at_ms": lambda number: 1000 + 40 * number},
    "hidden.mp4": {
        "encoder": GROUPS,
        "at_ms": lambda number: 40 * (number - 10),
        "muxer": {"avoid_negative_ts": "disabled"},
    },
    "fragmented.mp4": {"encoder": GROUPS, "muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "film.webm": {"codec": "libvpx-vp9", "encoder": {"g": "8", "deadline": "realtime"}},
    "film.ts": {"encoder": GROUPS},
    "film.avi": {"codec": "mpeg4", "encoder": {"g": "8", "bf": "2"}},
    "film.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def edges(times):
    """Return spans whose edges lie on frames, between them, and beyond the end."""
    draw = random.Random(1)
    free = [sorted(draw.uniform(0, times[-1] + 0.2) for _ in range(2)) for _ in range(6)]
    on_frames = [sorted(draw.sample(times, 2)) for _ in range(6)]
    return [*free, *on_frames, (times[3], None), (None, times[5]), (0.0, times[-1] + 5)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_is_the_frames_a_whole_reading_shows_then(tmp_path, kind):
    path = write_film(tmp_path / kind, n=40, **KINDS[kind])
    whole = list(open_video(path).timed_frames())
    for start, end in edges([time for time, _ in whole]):
        low, high = (start or 0.0) - 1e-6, float("inf") if end is None else end - 1e-6
        expected = [(time, frame) for time, frame in whole if low <= time < high]
        if not expected:
            with pytest.raises(UserError, match=rf"{kind} shows no frame from"):
                list(open_span(path, start, end).timed_frames())
            continue
        found = list(open_span(path, start, end).timed_frames())
        assert [time for time, _ in found] == pytest.approx([time - expected[0][0] for time, _ in expected], abs=1e-6)
        assert all((one == other).all() for (_, one), (_, other) in zip(found, expected, strict=True))


def test_spans_that_meet_share_no_frame_and_lose_none(tmp_path):
    path = write_film(tmp_path / "film.mp4", n=40)
    spans = pairwise([0.0, 0.1, 0.28, 0.56, 0.6, 0.601, 1.4, 1.6])
    parts = [list(open_span(path, *span).frames()) for span in spans]
    assert [[number_of(frame) for frame in part] for part in parts] == [
        [0, 1, 2],
        [3, 4, 5, 6],
        [*range(7, 14)],
        [14],
        [15],
        [*range(16, 35)],
        [*range(35, 40)],
    ]


def test_what_comes_before_is_not_decoded(tmp_path, monkeypatch):
    path = write_film(tmp_path / "film.mp4", n=40, encoder={**GROUPS, "g": "4"})
    span = open_span(path, 1.2, 1.4)
    decoded = []
    plain = video_file._decoded
    monkeypatch.setattr(video_file, "_decoded", lambda *words: (decoded.append(1) or one for one in plain(*words)))
    assert [number_of(frame) for frame in span.frames()] == [30, 31, 32, 33, 34]
    assert len(decoded) <= 5 + 2 * 4


def test_a_span_knows_its_size_and_rate(tmp_path):
    path = write_film(tmp_path / "film.mp4", n=40)
    info = open_span(path, 0.2, 0.6).info
    assert (info.path, info.fps, info.n_frames, info.height, info.width) == (path, 25, 10, 48, 64)
    assert open_span(path).info.n_frames == open_span(path, None, 99.0).info.n_frames == 40


def test_a_span_past_the_end_says_so(tmp_path):
    path = write_film(tmp_path / "film.mp4", n=40)
    span = open_span(path, 1.2, 2.5)
    assert len(list(span.frames())) == 10
    assert span.warnings == ["the span ends at 2.5 s, the video at 1.60 s"]
    exact = open_span(path, 1.2, 1.6)
    assert len(list(exact.frames())) == 10
    assert exact.warnings == []


def test_a_truncated_file_says_so_from_its_beginning_too(tmp_path):
    whole = write_film(tmp_path / "film.mkv", n=40).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    span = open_span(tmp_path / "cut.mkv", 0.0, 9.0)
    list(span.frames())
    assert any("truncated" in warning for warning in span.warnings)


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.6, 0.2), (0.0, 0.0)])
def test_an_empty_span_is_refused(tmp_path, start, end):
    with pytest.raises(UserError, match=r"the span of .*film.mp4 from .* s is empty"):
        open_span(write_film(tmp_path / "film.mp4"), start, end)


def test_a_folder_of_frames_has_spans_too(tmp_path):
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR))
    (tmp_path / "000.png").write_bytes((tmp_path / "001.png").read_bytes())
    span = open_span(tmp_path, 0.12, 0.28)
    timed = list(span.timed_frames())
    assert [number_of(frame) for _, frame in timed] == [3, 4, 5, 6]
    assert [time for time, _ in timed] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert span.info.n_frames == 4


def test_frames_are_counted_as_they_are_shown():
    draw = random.Random(2)
    for _ in range(500):
        fps, n = draw.choice([24, 25, 29.97, 30, 50]), draw.randint(1, 200)
        start, end = sorted(np.round([draw.uniform(0, 9), draw.uniform(0, 9)], 2))
        shown = [k for k in range(n) if start - 1e-6 <= k / fps < end - 1e-6]
        assert n_frames_between(start, end, fps, n) == len(shown)
    assert n_frames_between(0.0, float("inf"), 25, 40) == 40
