"""YouTube's rolling captions: every word once, at its time."""

from __future__ import annotations

import re

import pytest

from slt.core.errors import UserError
from slt.data.rolling import read_rolling
from tests.annotations import ROLLING, SENTENCES


@pytest.fixture
def read(tmp_path):
    def reading(text):
        (tmp_path / "a.vtt").write_text(text, "utf-8")
        return read_rolling(tmp_path / "a.vtt")

    return reading


def cues(found):
    return [(cue.start_s, cue.end_s, cue.text) for cue in found.sentences]


def test_lines_shown_again_are_read_once_and_words_have_their_times(read):
    found = read(ROLLING)
    assert cues(found) == SENTENCES
    assert found.counts == {"rolling caption files": 1, "lines shown again": 5, "sounds such as [Music], left out": 1}


def test_without_tags_a_line_shares_its_time_out_by_letters(read):
    lines = ["one two.", "four.", "six seven", "eight."]
    text = "WEBVTT\n\n"
    for number, line in enumerate(lines):
        before = f"{lines[number - 1]}\n" if number else ""
        text += f"00:0{number}.000 --> 00:0{number + 1}.500\n{before}{line}\n\n"
    assert cues(read(text)) == [(0.0, 1.0, "one two."), (1.0, 2.0, "four."), (2.0, 4.5, "six seven eight.")]
    two = read(text.replace("one two.", "ab. abcd."))
    assert cues(two)[:2] == [(0.0, 0.562, "ab."), (0.562, 1.0, "abcd.")]


def test_captions_without_full_stops_stay_lines(read):
    found = read(re.sub(r"(everyone|Mr|Smith)\.", r"\1", ROLLING))
    lines = ["Hello everyone We go", "hiking today, Mr Smith", "The weather is nice"]
    assert [cue.text for cue in found.sentences] == lines
    assert found.counts["rolling caption files without full stops, a clip per line"] == 1


def test_a_long_pause_ends_a_sentence(read):
    text = ROLLING + "\n00:00:12.000 --> 00:00:13.000\nThe weather is nice\nand<00:00:12.500><c> warm.</c>\n"
    assert cues(read(text))[2:] == [(5.0, 7.0, "The weather is nice"), (12.0, 13.0, "and warm.")]


@pytest.mark.parametrize(
    "text",
    [
        "WEBVTT\n\n00:01.000 --> 00:02.000\nHi.\n\n00:02.000 --> 00:03.000\nHi.\n\n00:03.000 --> 00:04.000\nBye.\n",
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<i>Hello</i>\nyou\n",
        "WEBVTT\n",
    ],
)
def test_other_captions_are_left_to_others(read, text):
    assert read(text) is None


def test_a_broken_time_is_named(read):
    with pytest.raises(UserError, match=r"line 5: found '00:00:00.160 -> --> nonsense', expected a time"):
        read(ROLLING.replace("--> 00:00:02.000 align:start position:0%", "-> --> nonsense"))
