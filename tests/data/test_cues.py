from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.data.cues import Cue, clock_seconds, read_cues, read_sentences


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a subtitle file of this content."""

    def write(content: str | bytes):
        path = tmp_path / "a.srt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def cues(write):
    """Return a function that reads the sentences of a subtitle file of this content."""
    return lambda content: read_sentences(write(content))


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
        ("only words", r"found no cue, expected a time such as"),
        ("1\n00:00:05,0 --> 00:00:06,0\n", r"found no cue, expected a time such as"),
        ("1\n00:00:02 --> 00:00:01\nHi\n", r"line 2: found .* expected an end after the beginning"),
        ("1\n100:00:00,0 --> 100:00:01,0\nHi\n", r"line 2: found '100:00:00"),
        ("1\n00:00:01,0 --> 00:00:02,0\n00:00:03,0 -> 00:00:04,0\n", r"line 3: .* expected an arrow --> between"),
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


def test_all_cues_are_read_in_the_order_of_the_file(write):
    content = (
        "\ufeffWEBVTT - a talk\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:00:00.000 --> 00:00:01.000\nold\n\n"
        "1:00:00.000 --> 1:00:01.000\n\nintro\n00:01.5 --> 00:02.25 align:start\n<v Ann>Hello <i>there</i>\nagain\n"
    )
    assert read_cues(write(content)) == [
        Cue(start_s=3600.0, end_s=3601.0, text=""),
        Cue(start_s=1.5, end_s=2.25, text="Hello there\nagain"),
    ]


def test_cues_may_overlap_and_roll(cues):
    content = "WEBVTT\n\n00:01.000 --> 00:04.000\none\n\n00:02.000 --> 00:05.000\none\ntwo<00:03.500><c> three</c>\n"
    assert cues(content) == [
        Cue(start_s=1.0, end_s=4.0, text="one"),
        Cue(start_s=2.0, end_s=5.0, text="one two three"),
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("I have\n12", "I have 12"),
        ("12", "12"),
        ("5 < 6 & 7 > 3 {laughs} a < b", "5 < 6 & 7 > 3 {laughs} a < b"),
        ("{\\an8}up <b>there</b> &lt;3", "up there <3"),
        ("one\n\ntwo", "one two"),
        ("at 00:00:05,000 sharp", "at 00:00:05,000 sharp"),
    ],
)
def test_texts_stay_whole(cues, text, read):
    content = f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n\n2\n00:00:03,000 --> 00:00:04,000\n{text}\n"
    assert [cue.text for cue in cues(content)] == [read, read]


def test_a_blank_line_may_be_missing(cues):
    content = "1\n00:00:01,000 --> 00:00:02,000\nHello\n2\n00:00:03,000 --> 00:00:04,000\nBye"
    assert [cue.text for cue in cues(content)] == ["Hello", "Bye"]


def test_encodings(write):
    content = "1\n00:00:01,000 --> 00:00:02,000\nSchön\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
        assert [cue.text for cue in read_cues(write(mark + content.encode(encoding)))] == ["Schön"]
    latin = write(content.encode("latin-1"))
    with pytest.raises(UserError, match="line 3: found the byte 0xf6 at position 4, expected UTF-8"):
        read_cues(latin)
    assert [cue.end_s for cue in read_cues(latin, lenient=True)] == [2.0]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_cues(tmp_path / "none.srt")
