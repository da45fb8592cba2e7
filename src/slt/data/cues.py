"""Read SubRip and WebVTT subtitles; every mistake is named with its line."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from slt.data.lines import Mistake, read_bytes, read_lines, refusal

SUFFIXES = (".srt", ".vtt")
_CLOCK = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)"
TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?", re.ASCII)
_CLOCK_ONLY = re.compile(_CLOCK, re.ASCII)
# WebVTT's tags and SubRip's, times within a text, and the positions that some editors write into SubRip.
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
_EXPECTED = "a time such as 00:00:05.300 --> 00:00:07.000"
_COMMENTS = ("WEBVTT", "NOTE", "STYLE", "REGION")
_LATEST_S = 100 * 3600  # what SubRip can write
_OTHER_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

_NO_CUE = Mistake(line=0, found="no cue", expected=f"{_EXPECTED} above a text")
_FIX = "mend the file, or leave it out"

Line = tuple[int, str]
"""Number, counted from 1, and text."""


@dataclass(frozen=True, kw_only=True)
class Cue:
    """Text that is shown for a while.

    Attributes:
        start_s: when it appears, in seconds since the video's beginning.
        end_s: when it goes; later than ``start_s``.
        text: lines without tags, separated by newlines; none is empty.
    """

    start_s: float
    end_s: float
    text: str


def read_cues(path: Path, *, lenient: bool = False) -> list[Cue]:
    """Read SubRip or WebVTT in the order of the file; cues may overlap, and have no text.

    The text is UTF-8, or UTF-16 with a byte order mark.

    Args:
        path: of the file; its content decides on the format.
        lenient: bytes that are no text are replaced: for who needs the times alone.

    Raises:
        UserError: no such file, not one cue in it, or mistakes in it: all of them, in one report.
    """
    import pysubs2

    mistakes: list[Mistake] = []
    lines = _read_lines(path, mistakes, lenient=lenient)
    plain, timings = _as_subrip(lines, mistakes)
    cues: list[Cue] = []
    if not mistakes:
        events = pysubs2.SSAFile.from_string(plain, format_="srt", keep_html_tags=True)
        for (number, line), event in zip(timings, events, strict=True):
            text = _without_tags(event.text.replace(r"\N", "\n"))
            if event.end > event.start:
                cues.append(Cue(start_s=event.start / 1000, end_s=event.end / 1000, text=text))
            elif text:
                mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected="an end after the beginning"))
    if mistakes or not cues:
        raise refusal(path, mistakes or [_NO_CUE], fix=_FIX)
    return cues


def read_sentences(path: Path) -> list[Cue]:
    """Read the cues of a subtitle file that have a text, each on one line, in the order of their beginnings.

    Raises:
        UserError: as for ``read_cues``; or no cue has a text.
    """
    cues = [replace(cue, text=" ".join(cue.text.split())) for cue in read_cues(path) if cue.text]
    if not cues:
        raise refusal(path, [_NO_CUE], fix=_FIX)
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def clock_seconds(cell: str) -> float | None:
    """Return the seconds of a time such as 01:02:03.450 or 02:03,45; None when it is none."""
    found = _CLOCK_ONLY.fullmatch(cell)
    return _seconds(*found.groups()) if found else None


def _read_lines(path: Path, mistakes: list[Mistake], *, lenient: bool) -> list[Line]:
    data = read_bytes(path)
    encoding = next((name for mark, name in _OTHER_ENCODINGS.items() if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and not lenient:
        return list(read_lines(path, mistakes, blank=True))
    return list(enumerate(data.decode(encoding, "replace").splitlines(), 1))


def _as_subrip(lines: Sequence[Line], mistakes: list[Mistake]) -> tuple[str, list[Line]]:
    """Return lines as SubRip that pysubs2 cannot mistake, and the lines of its timings; or note what is wrong.

    pysubs2 takes any line with two times for a timing, all else up to the next one for text, and a number at its end
    for that of the next cue.
    """
    from pysubs2.time import TIMESTAMP

    plain: list[str] = []
    timings: list[Line] = []
    for block in _blocks(lines):
        at = next((index for index, (_, line) in enumerate(block) if "-->" in line), None)
        if at is None and len(block) > 1:
            number, line = block[0]
            mistakes.append(Mistake(line=number, found=f"{line!r:.60} and no time", expected="a time above every text"))
        plain += [""] if at is None else ["", str(len(timings) + 1)]
        for number, line in block[at:]:  # above it are the cue's number and name
            if "-->" in line:
                timings.append((number, line))
                plain.append(_timing(number, line, mistakes))
                continue
            if len(TIMESTAMP.findall(line)) == 2:
                mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected="an arrow --> between two times"))
            plain.append(line)
    return "\n".join([*plain, "", "0"]), timings


def _blocks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield the lines between blank ones, but for comments and styles."""
    for is_blank, group in groupby(lines, key=lambda line: not line[1].strip()):
        block = list(group)
        if not is_blank and not block[0][1].startswith(_COMMENTS):
            yield block


def _timing(number: int, line: str, mistakes: list[Mistake]) -> str:
    """Return the timing of a line as SubRip writes it; or note that there is none."""
    found = TIMING.fullmatch(line)
    times = [_seconds(*found.groups()[:3]), _seconds(*found.groups()[3:])] if found else [_LATEST_S]
    if max(times) >= _LATEST_S:
        mistakes.append(Mistake(line=number, found=f"{line!r:.60}", expected=_EXPECTED))
        return line
    ms = [round(time * 1000) for time in times]
    return " --> ".join(f"{t // 3_600_000:02d}:{t // 60_000 % 60:02d}:{t // 1000 % 60:02d},{t % 1000:03d}" for t in ms)


def _without_tags(text: str) -> str:
    lines = (" ".join(html.unescape(_TAG.sub("", line)).split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    # Milliseconds, as all subtitles have: 0.1 + 0.2 is not what anybody wrote.
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", ".")), 6)
