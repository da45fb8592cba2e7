"""Read, lay out and write SubRip and WebVTT subtitles."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.video.oserrors import explain_os_error

LINE_WIDTH = 42
LINES_PER_CUE = 2
LEAST_MS = 1

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """Text that is shown for a while.

    Attributes:
        start_s: when it appears, in seconds.
        end_s: when it goes.
        text: lines, separated by newlines; none is empty.
    """

    start_s: float
    end_s: float
    text: str


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


def read_cues(path: Path) -> list[Cue]:
    """Read SubRip or WebVTT, in whatever order the cues stand; styles, notes and formatting are left out.

    Raises:
        UserError: no such file, or one without a cue; or times that cannot be, with the line they stand in.
    """
    try:
        lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise explain_os_error(path, error) from error
    cues = [_cue(path, number, block) for number, block in _blocks(lines) if block]
    if not cues:
        raise UserError(
            f"{path} holds no subtitles, expected SubRip or WebVTT",
            fix="each needs a line such as 00:00:12,500 --> 00:00:17,000",
        )
    return cues


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each timing line with the lines under it, and its number."""
    block: list[str] = []
    begins, note = 0, False
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            yield begins, block
            block, note = [], False
        elif block:
            block.append(line)
        elif line.startswith("NOTE"):
            note = True
        elif "-->" in line and not note:
            block, begins = [line], number


def _cue(path: Path, number: int, block: Sequence[str]) -> Cue:
    found = _TIMING.match(block[0])
    if not found:
        raise UserError(
            f"{path}, line {number}: {block[0].strip()!r} is no timing, expected HH:MM:SS,mmm --> HH:MM:SS,mmm"
        )
    start_s, end_s = _seconds(*found.groups()[:4]), _seconds(*found.groups()[4:])
    if end_s <= start_s:
        raise UserError(f"{path}, line {number}: the cue ends at {end_s:g} s, not after its beginning at {start_s:g} s")
    text = "\n".join(html.unescape(_TAG.sub("", line)) for line in block[1:])
    return Cue(start_s=start_s, end_s=end_s, text=text)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


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
