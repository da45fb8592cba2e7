from __future__ import annotations

import itertools
import re

import pysubs2
import pytest

from slt.core.errors import UserError
from slt.data.cues import Cue, read_cues
from slt.subtitles.cues import LINE_WIDTH, as_srt, as_vtt, lay_out, write_cues

NASTY = [
    Cue(start_s=0.0, end_s=1.5, text="5 < 6 & 7 > 3"),
    Cue(start_s=1.0, end_s=2.0, text="an arrow --> here"),  # overlaps the first
    Cue(start_s=3661.0004, end_s=3662.9996, text="one\n\n  \ntwo\u200b"),
    Cue(start_s=4000.0, end_s=4000.0001, text="¿Qué? 手話 لغة"),
]
WORDS = ["5 < 6 & 7 > 3", "an arrow → here", "one\ntwo", "¿Qué? 手話 لغة"]


@pytest.mark.parametrize(("suffix", "arrow"), [(".srt", "→"), (".vtt", "-->")])
def test_an_independent_parser_reads_what_is_written(tmp_path, suffix, arrow):
    path = tmp_path / f"out{suffix}"
    write_cues(path, NASTY)
    found = pysubs2.load(str(path), encoding="utf-8")
    assert [(line.start, line.end) for line in found] == [
        (0, 1500),
        (1000, 2000),
        (3661000, 3663000),
        (4000000, 4000001),
    ]
    texts = [line.text.replace("\\N", "\n").replace("&lt;", "<").replace("&gt;", ">") for line in found]
    assert [text.replace("&amp;", "&") for text in texts] == [text.replace("→", arrow) for text in WORDS]


def test_webvtt_is_valid():
    blocks = as_vtt(NASTY).split("\n\n")
    assert blocks[0] == "WEBVTT"
    assert blocks[-1] == ""
    for block in blocks[1:-1]:
        timing, *lines = block.split("\n")
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", timing)
        assert lines
        for line in lines:
            assert line.strip()
            assert "-->" not in line
            assert "<" not in line
            assert not re.search(r"&(?!lt;|gt;|amp;)", line)


def test_webvtt_has_its_cues_in_the_order_of_their_beginnings():
    assert as_vtt(reversed(NASTY)) == as_vtt(NASTY)


def test_no_cue_is_a_valid_file_too():
    assert as_srt([]) == ""
    assert as_vtt([]) == "WEBVTT\n\n"


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_what_is_written_can_be_read(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_cues(path, NASTY[:2])
    texts = [cue.text for cue in read_cues(path)]
    assert texts == ["5 < 6 & 7 > 3", "an arrow → here" if suffix == ".srt" else "an arrow --> here"]
    assert [(cue.start_s, cue.end_s) for cue in read_cues(path)] == [(0.0, 1.5), (1.0, 2.0)]


def test_a_name_that_tells_no_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"its name ends with neither of \.srt, \.vtt"):
        write_cues(tmp_path / "out.txt", NASTY)


def test_a_short_text_is_one_line():
    assert lay_out(1.0, 3.0, "  Where is\nthe cat? ") == [Cue(start_s=1.0, end_s=3.0, text="Where is the cat?")]


def test_a_longer_one_is_two_lines_of_nearly_one_length():
    (cue,) = lay_out(0.0, 2.0, "Tomorrow the mother will wash the apple in the forest.")
    assert cue.text == "Tomorrow the mother will\nwash the apple in the forest."


def test_a_long_one_becomes_cues_that_share_the_time():
    text = "the quick brown fox jumps over the lazy dog and then " * 5
    cues = lay_out(10.0, 22.0, text)
    assert len(cues) > 2
    assert " ".join(" ".join(cue.text.split()) for cue in cues) == " ".join(text.split())
    assert (cues[0].start_s, cues[-1].end_s) == (10.0, pytest.approx(22.0))
    for cue, following in itertools.pairwise(cues):
        assert cue.end_s == pytest.approx(following.start_s)
        assert cue.start_s < cue.end_s
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert max(map(len, lines)) <= LINE_WIDTH
    assert max(cue.text.count("\n") for cue in cues) == 1


def test_scripts_without_spaces_are_wide_and_broken_anywhere():
    cues = lay_out(0.0, 6.0, "手" * 50)
    assert [len(line) for cue in cues for line in cue.text.split("\n")] == [21, 21, 8]


def test_no_words_make_no_cue():
    assert lay_out(0.0, 1.0, " \n ") == []
