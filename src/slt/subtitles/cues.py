"""Lay out and write SubRip and WebVTT subtitles."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.cues import Cue

LINE_WIDTH = 42
LINES_PER_CUE = 2
LEAST_MS = 1


def lay_out(start_s: float, end_s: float, text: str) -> list[Cue]:
    """Return ``text`` as cues of at most two lines of at most 42 columns, the time shared out by length.

    A Chinese, Japanese or Korean character takes two columns. A text without words makes no cue.
    """
    lines = _wrap(text.split())
    parts = [_balanced(lines[i : i + LINES_PER_CUE]) for i in range(0, len(lines), LINES_PER_CUE)]
    widths = [sum(map(_width, part)) for part in parts]
    cues, shown = [], 0
    for part, width in zip(parts, widths, strict=True):
        begin, end = (start_s + (end_s - start_s) * share / sum(widths) for share in (shown, shown + width))
        cues.append(Cue(start_s=begin, end_s=end, text="\n".join(part)))
        shown += width
    return cues


def as_srt(cues: Iterable[Cue]) -> str:
    """Write cues as SubRip, numbered from 1; they may overlap. An arrow of hyphens, which SubRip cannot hold, is →."""
    return "".join(
        f"{number}\n{_timing(cue, ',')}\n{_clean(cue.text).replace('-->', '→')}\n\n"
        for number, cue in enumerate(cues, 1)
    )


def as_vtt(cues: Iterable[Cue]) -> str:
    """Write cues as WebVTT, in the order of their beginnings, as it asks; they may overlap.

    Reference: https://www.w3.org/TR/webvtt1/
    """
    ordered = sorted(cues, key=lambda cue: cue.start_s)
    return "WEBVTT\n\n" + "".join(
        f"{_timing(cue, '.')}\n{html.escape(_clean(cue.text), quote=False)}\n\n" for cue in ordered
    )


FORMATS = {".srt": as_srt, ".vtt": as_vtt}


def write_cues(path: Path, cues: Iterable[Cue], *, suffix: str | None = None) -> None:
    """Write cues whole or not at all, in the format that the name's end, or ``suffix``, tells.

    Raises:
        UserError: no such format, or nothing can be written there.
        SltError: the disk is full, or failed.
    """
    suffix = suffix or path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path} is to hold subtitles, but its name ends with neither of {', '.join(FORMATS)}")
    with atomic_write(path) as file:
        file.write(FORMATS[suffix](cues).encode())


def _timing(cue: Cue, point: str) -> str:
    start = round(cue.start_s * 1000)
    end = max(round(cue.end_s * 1000), start + LEAST_MS)
    return " --> ".join(
        f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"
        for ms in (start, end)
    )


def _clean(text: str) -> str:
    """Drop empty lines, which would end the cue, and characters that nobody can see."""
    lines = ("".join(c for c in line if c.isprintable()).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _wrap(words: Sequence[str]) -> list[str]:
    """Fill lines with words, a word that is longer than a line cut into pieces."""
    lines: list[str] = []
    for word in words:
        if lines and _width(lines[-1]) + 1 + _width(word) <= LINE_WIDTH:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for character in word:
            if _width(lines[-1]) + _width(character) > LINE_WIDTH:
                lines.append("")
            lines[-1] += character
    return lines


def _balanced(lines: list[str]) -> list[str]:
    """Return two lines of words with the break where they are nearest in length."""
    words = " ".join(lines).split(" ")
    if len(lines) < LINES_PER_CUE or len(words) < LINES_PER_CUE:
        return lines
    breaks = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    fitting = [pair for pair in breaks if max(map(_width, pair)) <= LINE_WIDTH]
    return list(min(fitting, key=lambda pair: abs(_width(pair[0]) - _width(pair[1])), default=lines))


def _width(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
