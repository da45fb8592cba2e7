from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest

from slt.video.decode import open_video
from slt.video.header import Header, packets_of, read_header
from tests.video.films import write_film


def header(**about) -> Header:
    return Header(stream=0, fps=25.0, n_packets=None, **{"n_frames": None, "duration_s": None, **about})


@pytest.mark.parametrize(
    ("claims", "found", "said"),
    [
        ({"n_frames": 250}, (250, 10.0), None),
        ({"n_frames": 250}, (131, 5.2), "the file says 250 frames, 131 could be decoded: it is truncated"),
        ({"n_frames": 250, "duration_s": 10.0}, (131, 5.2), "the file says 250 frames, 131 could be decoded"),
        ({"n_frames": 250, "duration_s": 10.0}, (249, 9.96), "the file says 250 frames, 249 could be decoded"),
        ({"n_frames": 250, "duration_s": 5.2}, (131, 5.24), None),
        ({"n_frames": 250}, (300, 12.0), None),
        ({"duration_s": 10.0}, (131, 5.24), "the file says 10.00 s, 5.24 s could be decoded: it is truncated"),
        ({"duration_s": 10.0}, (250, 9.99), None),
        ({}, (3, 0.12), None),
        ({"duration_s": 10.9, "from_zero": True, "first_s": 7.5}, (85, 3.4), None),
        ({"duration_s": 10.9, "from_zero": True, "first_s": 7.5}, (60, 2.4), "the file says 10.90 s, 2.40 s could"),
    ],
)
def test_what_is_missing(claims, found, said):
    claimed = {name: value for name, value in claims.items() if name != "first_s"}
    missing = header(**claimed).missing(*found, last_s=0.04, first_s=claims.get("first_s", 0.0))
    assert missing is None if said is None else missing.startswith(said)


class Disk:
    """A container that says what a test wants it to say."""

    def __init__(self, *, guessed=None, average=None, frames=0, duration=None, times=(), ends=None) -> None:
        self.stream = SimpleNamespace(
            guessed_rate=guessed, average_rate=average, frames=frames, duration=duration, metadata={},
            sample_aspect_ratio=None,
            time_base=Fraction(1, 1000), disposition=0, codec_context=object(), index=0,
        )  # fmt: skip
        self.format = SimpleNamespace(name="made-up")
        self.streams = SimpleNamespace(video=(self.stream,), best=lambda kind: self.stream)
        self._times = times
        self._ends = ends

    def demux(self, stream):
        for time in self._times:
            yield SimpleNamespace(size=1, pts=time, dts=None)
        if self._ends:
            raise self._ends


def test_no_rate_anywhere_is_assumed_and_said(tmp_path):
    for rate in (None, Fraction(0), Fraction(90_000), Fraction(1, 1000)):
        found = read_header(tmp_path, Disk(guessed=rate, average=rate))
        assert found.fps == 25
        assert found.warnings == ("the file does not say how many frames per second it has: 25 assumed",)


def test_timestamps_are_believed_where_the_header_is_silent_or_wrong(tmp_path):
    times = range(0, 3000, 100)
    for rate in (None, Fraction(0), Fraction(25), Fraction(1000)):
        found = read_header(tmp_path, Disk(guessed=rate, average=rate, times=times))
        assert (found.fps, found.n_packets, found.n_frames, found.warnings) == (10, 30, None, ())


def test_a_claim_that_fits_the_timestamps_is_the_exact_number(tmp_path):
    ntsc = Fraction(30_000, 1001)
    times = [round(1000 * number / ntsc) for number in range(90)]
    assert read_header(tmp_path, Disk(guessed=ntsc, average=Fraction(31), times=times)).fps == float(ntsc)


def test_of_two_claims_the_one_that_fits_the_length_is_taken(tmp_path):
    # A gif's frames last whole hundredths of a second; its average over the first few says 25 where 24 is right.
    found = read_header(tmp_path, Disk(guessed=Fraction(24), average=Fraction(25), frames=181, duration=7540))
    assert (found.fps, found.n_frames) == (24, 181)
    found = read_header(tmp_path, Disk(guessed=Fraction(42), average=Fraction(25), frames=60, duration=2414))
    assert found.fps == 25


def test_a_frame_count_alone_leaves_the_average(tmp_path):
    assert read_header(tmp_path, Disk(guessed=Fraction(50), average=Fraction(24), frames=9)).fps == 24


def test_a_clock_that_jumps_where_recordings_are_joined_is_no_measure(tmp_path):
    times = [*range(0, 400, 40), *range(0, 400, 40)]
    assert read_header(tmp_path, Disk(guessed=Fraction(25), times=times)).fps == 25


def test_a_stream_announced_late_ends_the_reading_in_peace():
    disk = Disk(times=[0, 40], ends=IndexError("list index out of range"))
    assert len(list(packets_of(disk, disk.stream))) == 2


def test_what_breaks_while_counting_is_left_to_the_decoder(tmp_path):
    from av.error import InvalidDataError

    disk = Disk(guessed=Fraction(25), times=[0, 40, 80], ends=InvalidDataError(1, "broken"))
    assert (read_header(tmp_path, disk).n_packets, read_header(tmp_path, disk).fps) == (3, 25)


def test_a_whole_gif_is_whole_even_when_padded(tmp_path):
    path = write_film(tmp_path / "film.gif", codec="gif", pix_fmt="rgb8")
    assert open_video(path).warnings == []
    path.write_bytes(path.read_bytes() + b"\0\0")
    assert open_video(path).warnings == []
