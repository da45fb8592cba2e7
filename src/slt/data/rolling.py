"""YouTube's rolling captions made into sentences.

Automatic captions show two lines: the one before, and one that grows word by word (``<00:00:01.439><c> word</c>``);
every line is so in two or three cues, which overlap. Here every line is read once, its words get the times of their
tags, and sentences end where the words say so.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from slt.data.cues import TIMING, Cue, clock_seconds
from slt.data.lines import Mistake, read_lines, refusal

PAUSE_S = 3.0
"""So long without a word, and a sentence has ended."""

FEWEST_REPEATS, REPEATS_SHARE = 2, 0.3
"""Cues that begin with the line of the one before, for captions to be rolling."""

_TIME_TAG = re.compile(r"<((?:\d+:)?\d\d:\d\d\.\d{1,3})>")
_TAG = re.compile(r"<[^<>]*>")
_ENDS = re.compile(r".*[.!?…。！？]['\"”’»」』)\]]*")
_ABBREVIATIONS = {"mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "e.g.", "i.e.", "u.s.", "a.m.", "p.m.", "no.", "prof."}
_SOUND = re.compile(r"(\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?|\s)+")


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """What rolling captions say.

    Attributes:
        sentences: in the order of their times; none overlaps another.
        counts: what was met, and how often.
    """

    sentences: tuple[Cue, ...]
    counts: Counter[str]


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A cue as it stands in the file; its lines with their tags."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Word:
    start_s: float
    end_s: float
    text: str


def read_rolling(path: Path) -> Rolling | None:
    """Read a WebVTT file of rolling captions as sentences; None when it is not rolling.

    Raises:
        UserError: no such file; or rolling captions with times that are none.
    """
    mistakes: list[Mistake] = []
    shown = list(_cues(read_lines(path, mistakes, blank=True), mistakes))
    if not _is_rolling(shown):
        return None
    if mistakes:
        raise refusal(path, mistakes, fix="mend the file, or leave it out")
    counts: Counter[str] = Counter({"rolling caption files": 1})
    lines = list(_new_lines(shown, counts))
    if not any(_ends(word.text) for line in lines for word in line):
        counts["rolling caption files without full stops, a clip per line"] += 1
        sentences = lines
    else:
        sentences = list(_sentences(lines))
    return Rolling(sentences=tuple(_as_cues(sentences)), counts=counts)


def _cues(lines: Iterator[tuple[int, str]], mistakes: list[Mistake]) -> Iterator[_Shown]:
    """Yield the cues; a line of blanks is a line, and only an empty one ends a cue."""
    span: tuple[float, float] | None = None
    text: list[str] = []
    for number, line in lines:
        if "-->" in line:
            if span:
                yield _Shown(start_s=span[0], end_s=span[1], lines=tuple(text))
            found = TIMING.fullmatch(line)
            times = [clock_seconds(one) for one in re.findall(r"[\d:.,]+", line)[:2]] if found else []
            span, text = None, []
            if len(times) == 2 and times[0] is not None and times[1] is not None:
                span = times[0], times[1]
            else:
                expected = "a time such as 00:00:05.300 --> 00:00:07.000"
                mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected=expected))
        elif span and line:
            text.append(line)
        elif span:
            yield _Shown(start_s=span[0], end_s=span[1], lines=tuple(text))
            span = None
    if span:
        yield _Shown(start_s=span[0], end_s=span[1], lines=tuple(text))


def _is_rolling(shown: Sequence[_Shown]) -> bool:
    if any(_TIME_TAG.search(line) and "<c" in line for cue in shown for line in cue.lines):
        return True
    plain = [[text for line in cue.lines if (text := _plain(line))] for cue in shown]
    repeats = sum(bool(last and lines) and lines[0] == last[-1] for last, lines in pairwise(plain))
    return repeats >= max(FEWEST_REPEATS, REPEATS_SHARE * len(shown))


def _new_lines(shown: Sequence[_Shown], counts: Counter[str]) -> Iterator[list[_Word]]:
    """Yield the words of each line when it is first shown; lines of sounds are left out and end a sentence."""
    last: list[str] = []
    for cue in shown:
        lines = [(text, line) for line in cue.lines if (text := _plain(line))]
        texts = [text for text, _ in lines]
        n_old = next((n for n in range(min(len(last), len(texts)), 0, -1) if last[-n:] == texts[:n]), 0)
        counts["lines shown again"] += n_old
        for text, line in lines[n_old:]:
            if _SOUND.fullmatch(text):
                counts["sounds such as [Music], left out"] += 1
                yield []
            else:
                yield list(_words(line, cue.start_s, cue.end_s))
        last = texts or last


def _words(line: str, start_s: float, end_s: float) -> Iterator[_Word]:
    """Yield the words of a line; those between two times share them out by their letters."""
    parts = _TIME_TAG.split(line)  # text, time, text, time, text …
    times = [start_s, *(clock_seconds(one) or start_s for one in parts[1::2]), end_s]
    for text, begin, end in zip(parts[::2], times, times[1:], strict=False):
        words = _plain(text).split()
        at, letters = begin, sum(map(len, words))
        for word in words:
            until = at + max(end - begin, 0.0) * len(word) / letters
            yield _Word(start_s=at, end_s=until, text=word)
            at = until


def _sentences(lines: Sequence[list[_Word]]) -> Iterator[list[_Word]]:
    """Yield the words of each sentence."""
    sentence: list[_Word] = []
    for line in lines:
        if not line and sentence:
            yield sentence
            sentence = []
        for word in line:
            if sentence and word.start_s - sentence[-1].end_s > PAUSE_S:
                yield sentence
                sentence = []
            sentence.append(word)
            if _ends(word.text):
                yield sentence
                sentence = []
    if sentence:
        yield sentence


def _as_cues(sentences: Sequence[list[_Word]]) -> Iterator[Cue]:
    """Yield a cue of each sentence that lasts, until the next begins at the latest."""
    spoken = [words for words in sentences if words]
    for words, after in zip(spoken, [*spoken[1:], None], strict=True):
        start_s = round(words[0].start_s, 3)
        end_s = round(min(words[-1].end_s, after[0].start_s if after else words[-1].end_s), 3)
        # A line that is shown for an instant still was said: it lasts as long as the clock can tell.
        yield Cue(start_s=start_s, end_s=max(end_s, start_s + 0.001), text=" ".join(word.text for word in words))


def _ends(word: str) -> bool:
    return _ENDS.fullmatch(word) is not None and word.lower() not in _ABBREVIATIONS


def _plain(line: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", line)).split())
