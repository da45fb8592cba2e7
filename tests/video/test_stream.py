from __future__ import annotations

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.stream import WindowStream, in_turn, late_starts
from slt.video.windows import WindowGeometry, plan_windows

SMALL = WindowGeometry(num_frames=16, stride_frames=8)


def numbered(n_frames: int):
    """Frames that say which they are."""
    for number in range(n_frames):
        yield np.full((1, 1, 3), number, dtype=np.int32)


@pytest.mark.parametrize("fps", [8.0, 12.5, 20.0, 23.976, 25.0, 29.97, 30.0, 50.0])
@pytest.mark.parametrize("n_frames", [1, 2, 15, 16, 31, 32, 33, 63, 64, 65, 200, 257])
@pytest.mark.parametrize("geometry", [SMALL, WindowGeometry()], ids=["small", "published"])
def test_windows_are_those_of_the_whole_video(n_frames, fps, geometry):
    stream = WindowStream(numbered(n_frames), fps=fps, geometry=geometry)
    streamed = list(stream)
    planned = plan_windows(n_frames, fps, geometry)
    assert stream.n_frames == n_frames
    assert stream.windows == [window for window, _ in streamed]
    assert [(w.start, w.end, w.padding) for w in stream.windows] == [(w.start, w.end, w.padding) for w in planned]
    for (_, pixels), window in zip(streamed, planned, strict=True):
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], window.indices)


def test_a_plan_may_begin_later():
    later, whole = plan_windows(200, 25.0, SMALL, first=3), plan_windows(200, 25.0, SMALL)
    assert [window.start for window in later] == [window.start for window in whole[3:]]


def test_windows_come_while_the_video_is_read_and_old_frames_go():
    stream = WindowStream(numbered(10_000), fps=25, geometry=SMALL)
    span = 2 * SMALL.num_frames
    for window, _ in stream:
        assert stream.n_frames <= window.start + 2 * span + SMALL.num_frames
        assert len(stream._kept) <= 3 * span


def test_no_frame_is_refused():
    with pytest.raises(UserError, match="0 frames, expected at least 1"):
        list(WindowStream(numbered(0), fps=25, geometry=SMALL))


@pytest.mark.parametrize("n_frames", [1, 3, 5, 40, 300])
def test_late_starts_are_the_windows_of_the_rest_of_the_video(n_frames):
    streams = late_starts(numbered(n_frames), 4, fps=25, geometry=SMALL)
    found = [[] for _ in streams]
    for number, window, pixels in in_turn(streams):
        found[number].append((window.start, pixels[:, 0, 0, 0].tolist()))
    assert len(streams) == min(4, n_frames)
    for late, windows in enumerate(found):
        alone = WindowStream(list(numbered(n_frames))[late:], fps=25, geometry=SMALL)
        assert windows == [(window.start, pixels[:, 0, 0, 0].tolist()) for window, pixels in alone]


def test_late_starts_read_frames_once_and_keep_few():
    seen = []
    frames = (seen.append(frame) or frame for frame in numbered(10_000))
    streams = late_starts(frames, 4, fps=25, geometry=SMALL)
    for number, window, _ in in_turn(streams):
        assert len(seen) <= number + window.start + 6 * SMALL.num_frames * SMALL.sampling_rate
    assert len(seen) == 10_000


def test_late_starts_of_no_frame_are_refused():
    with pytest.raises(UserError, match="0 frames, expected at least 1"):
        list(in_turn(late_starts(numbered(0), 4, fps=25, geometry=SMALL)))
