"""Parse time spans from the command line or from a file."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from slt.core.errors import UserError
from slt.data.cues import SUFFIXES, read_cues
from slt.video.oserrors import explain_os_error

COLUMNS = ("start_s", "end_s")

_TIME = r"(?:(?:\d+:)?\d{1,2}:)?\d+(?:[.,]\d*)?"
_SPAN = re.compile(rf"\s*({_TIME})\s*-\s*({_TIME})\s*$")


class TimeSpan(NamedTuple):
    """A segment of a video, in seconds since its first frame; ``end_s`` is not in it."""

    start_s: float
    end_s: float


def parse_spans(words: Sequence[str]) -> list[TimeSpan]:
    """Return the spans that words name, in their order: ``12.5-17``, ``00:01:02.5-00:01:07``, or a file of spans.

    Raises:
        UserError: a word is neither, or a span is empty.
    """
    spans: list[TimeSpan] = []
    for word in words:
        found = _SPAN.match(word)
        if found:
            spans.append(_span(found[1], found[2], where=f"--span {word}"))
        else:
            spans += read_spans(_file(word))
    return spans


def read_spans(path: Path) -> list[TimeSpan]:
    """Read the spans of a file: SubRip or WebVTT, by its name's end, or lines of start and end, separated by tabs.

    A table may have a heading; then its columns start_s and end_s count, otherwise the first two.

    Raises:
        UserError: no such file, no span in it, or a line that is none.
    """
    if path.suffix.lower() in SUFFIXES:
        return [TimeSpan(cue.start_s, cue.end_s) for cue in read_cues(path, lenient=True)]
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            spans = list(_rows(path, csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)))
    except OSError as error:
        raise explain_os_error(path, error) from error
    if not spans:
        raise UserError(
            f"{path} holds no spans", fix="each line needs a start and an end in seconds, and a tab between"
        )
    return spans


def _rows(path: Path, rows: Iterator[list[str]]) -> Iterator[TimeSpan]:
    columns = [0, 1]
    for number, row in enumerate(rows, 1):
        if not "".join(row).strip() or row[0].startswith("#"):
            continue
        if number == 1 and set(COLUMNS) <= set(row):
            columns = [row.index(name) for name in COLUMNS]
            continue
        cells = [row[column].strip() if column < len(row) else "" for column in columns]
        yield _span(*cells, where=f"{path}, line {number}")


def _span(start: str, end: str, *, where: str) -> TimeSpan:
    for text in (start, end):
        if not re.fullmatch(_TIME, text):
            raise UserError(f"{where}: {text!r} is no time, expected seconds or HH:MM:SS.mmm")
    span = TimeSpan(_seconds(start), _seconds(end))
    if span.end_s <= span.start_s:
        raise UserError(f"{where}: it ends at {span.end_s:g} s, not after its beginning at {span.start_s:g} s")
    return span


def _seconds(text: str) -> float:
    parts = [float(part) for part in text.replace(",", ".").split(":")]
    return math.fsum(part * 60**power for power, part in enumerate(reversed(parts)))


def _file(word: str) -> Path:
    path = Path(word)
    if not path.is_file():
        raise UserError(
            f"--span {word} is neither a span nor a file",
            fix="write --span 12.5-17.0 or --span 00:01:02.5-00:01:07, or give an .srt, .vtt or .tsv of spans",
        )
    return path
