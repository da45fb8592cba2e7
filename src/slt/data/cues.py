"""Read SubRip and WebVTT subtitles of corpora."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

from slt.data.lines import Mistake, read_lines, refusal

SUFFIXES = (".srt", ".vtt")
_CLOCK = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)"
_SPAN = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?", re.ASCII)
_CLOCK_ONLY = re.compile(_CLOCK, re.ASCII)
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # WebVTT's and SRT's, and the positions some editors put into SRT
_EXPECTED = "a time such as 00:00:05.300 --> 00:00:07.000"
_BLOCKS_WITHOUT_TEXT = ("WEBVTT", "NOTE", "STYLE", "REGION")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One text and when it is shown.

    Attributes:
        start_s: seconds from the video's beginning.
        end_s: the same; later than ``start_s``.
        text: on one line, without tags.
    """

    start_s: float
    end_s: float
    text: str


def read_cues(path: Path) -> list[Cue]:
    """Read a subtitle file, SRT or WebVTT, in the order of their beginnings; cues without a text are left out.

    Raises:
        UserError: no such file, not one cue in it, or mistakes in it: all of them, in one report.
    """
    mistakes: list[Mistake] = []
    cues: list[Cue] = []
    block: list[tuple[int, str]] = []
    for number, line in [*read_lines(path, mistakes, blank=True), (0, "")]:
        if line.strip():
            block.append((number, line))
        else:
            cues += _cue(block, mistakes)
            block = []
    if mistakes or not cues:
        none = Mistake(line=0, found="no cue", expected=f"{_EXPECTED} above a text")
        raise refusal(path, mistakes or [none], fix="mend the file, or leave it out")
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def clock_seconds(cell: str) -> float | None:
    """Return the seconds of a time such as 01:02:03.450 or 02:03,45; None when it is none."""
    found = _CLOCK_ONLY.fullmatch(cell)
    return _seconds(*found.groups()) if found else None


def _cue(block: list[tuple[int, str]], mistakes: list[Mistake]) -> list[Cue]:
    """Return the cue of one block of lines, none when it is something else; or note why it is broken."""
    at = next((index for index, (_, line) in enumerate(block) if "-->" in line), None)
    if at is None:
        if block and len(block) > 1 and not block[0][1].startswith(_BLOCKS_WITHOUT_TEXT):
            number, line = block[0]
            mistakes.append(Mistake(line=number, found=f"{line!r:.60} and no time", expected="a time above every text"))
        return []
    number, line = block[at]
    span = _SPAN.fullmatch(line)
    if span is None:
        mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected=_EXPECTED))
        return []
    start_s, end_s = _seconds(*span.groups()[:3]), _seconds(*span.groups()[3:])
    text = " ".join(html.unescape(_TAG.sub("", " ".join(line for _, line in block[at + 1 :]))).split())
    if end_s <= start_s and text:
        expected = "an end after the beginning"
        mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected=expected))
        return []
    return [Cue(start_s=start_s, end_s=end_s, text=text)] if text else []


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    # Milliseconds, as all subtitles have: 0.1 + 0.2 is not what anybody wrote.
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", ".")), 6)
