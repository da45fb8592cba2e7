from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.data.cues import Cue, clock_seconds, read_cues


@pytest.fixture
def cues(tmp_path):
    """Return a function that reads a subtitle file of this content."""

    def read(content: str):
        path = tmp_path / "a.srt"
        path.write_bytes(content.encode())
        return read_cues(path)

    return read


def test_srt(cues):
    content = """\ufeff1
00:00:05,300 --> 00:00:07,000
<i>Hello</i>,
you &amp; I.

2
01:00:00,1 --> 01:00:01,25
Bye.
"""
    assert cues(content.replace("\n", "\r\n")) == [
        Cue(start_s=5.3, end_s=7.0, text="Hello, you & I."),
        Cue(start_s=3600.1, end_s=3601.25, text="Bye."),
    ]


def test_webvtt_with_notes_styles_settings_and_no_hours(cues):
    content = (
        "WEBVTT - a title\nKind: captions\n\nNOTE\nnot shown\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:03.000 --> 00:04.500 align:start position:0%\n<v Ann><c.yellow>Hi</c> <00:03.500>there\n\n"
        "00:01.000 --> 00:02.000\n\n00:02.000 --> 00:02.500\nEarlier.\n"
    )
    assert cues(content) == [
        Cue(start_s=2.0, end_s=2.5, text="Earlier."),
        Cue(start_s=3.0, end_s=4.5, text="Hi there"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1\n00:00:05 -> 00:00:06\nHi\n", r"line 1: found '1' and no time, expected a time above every text"),
        ("1\n00:00:05 --> then\nHi\n", r"line 2: found '00:00:05 --> then', expected a time such as 00:00:05.300"),
        ("1\n00:00:65 --> 00:01:70\nHi\n", r"line 2: found '00:00:65"),
        ("1\n00:00:05 --> 00:00:05\nHi\n", r"line 2: found .* expected an end after the beginning"),
        ("WEBVTT\n", r"found no cue, expected a time such as"),
        ("1\n00:00:05 --> x\nHi\n\n2\n00:00:05 --> y\nHi\n", r"2 mistakes in "),
    ],
)
def test_mistakes_name_their_line(cues, content, said):
    with pytest.raises(UserError, match=said):
        cues(content)


@pytest.mark.parametrize(
    ("cell", "seconds"), [("00:00:05.333", 5.333), ("1:02:03,5", 3723.5), ("02:03", 123.0), ("5", None), ("a:b", None)]
)
def test_clocks(cell, seconds):
    assert clock_seconds(cell) == seconds
