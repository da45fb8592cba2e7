"""Read hypotheses and references: plain lines, tables by id, or earlier results."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from slt.core.errors import UserError
from slt.data.lines import read_bytes
from slt.evaluate.results import Sentence, read_results

HYPOTHESIS_COLUMNS = ("hypothesis", "hyp", "prediction", "text", "translation")
REFERENCE_COLUMNS = ("reference", "ref", "text", "translation")


def pair_files(hypotheses: Path, references: Path | None) -> tuple[list[Sentence], list[str]]:
    """Read what a system said and what was signed.

    Tables (``.tsv``) and results (``.json``) go by id: a reference without a hypothesis is a clip that failed. Plain
    lines go by number. Without ``references`` they are those in the hypotheses' own file.

    Returns:
        The sentences, in the order of the references; and ids that have a hypothesis but no reference.

    Raises:
        UserError: a file that is missing, empty or no such table; equal ids; more lines in one than in the other.
    """
    said = _read(hypotheses, HYPOTHESIS_COLUMNS)
    signed = _read(references or hypotheses, REFERENCE_COLUMNS)
    plain = [path for path in (hypotheses, references) if path and not _goes_by_id(path)]
    if references is None and plain:
        raise UserError(f"{hypotheses} holds no references", fix="give them with --ref FILE")
    if len(plain) == 1:
        raise UserError(
            f"{plain[0]} goes by line and the other file by id",
            fix="give both as plain lines, or both as .tsv with ids",
        )
    if plain and len(said) != len(signed):
        raise UserError(
            f"{hypotheses} has {len(said)} lines and {references} {len(signed)}",
            fix="give one hypothesis per reference, in the same order; an empty line where there is none",
        )
    sentences = [
        Sentence(
            id=name, reference=text, hypothesis=said.get(name, ""), failure=None if name in said else "no hypothesis"
        )
        for name, text in signed.items()
    ]
    if not any(name in said for name in signed):
        raise UserError(
            f"no id of {references or hypotheses} is in {hypotheses}: {_some(signed)} against {_some(said)}",
            fix="give files about the same clips",
        )
    return sentences, [name for name in said if name not in signed]


def _goes_by_id(path: Path) -> bool:
    return path.suffix.lower() in (".tsv", ".json")


def _read(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """Return id → text; the ids of plain lines are their numbers."""
    if path.suffix.lower() == ".json":
        wanted = "hypothesis" if columns is HYPOTHESIS_COLUMNS else "reference"
        return {
            one.id: getattr(one, wanted)
            for one in read_results(path).sentences
            if wanted == "reference" or one.failure is None
        }
    lines = _lines(path)
    if _goes_by_id(path):
        return _table(path, lines, columns)
    return {str(number): line for number, line in enumerate(lines, 1)}


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, in UTF-8 or marked UTF-16; only line feeds end them, as in every other scorer."""
    found = read_bytes(path)
    wide = found.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = found.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = found[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not in UTF-8: line {line} holds the byte 0x{found[error.start]:02x}",
            fix=f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > mended, if that is what it was written in",
        ) from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UserError(f"{path} is empty")
    return [line.removesuffix("\r") for line in lines]


def _table(path: Path, lines: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Read a table with a header that names ``id``, or one of two columns: id and text."""
    rows = [line.split("\t") for line in lines]
    header = rows[0]
    id_at, text_at = 0, 1
    if "id" in header:
        names = [name for name in columns if name in header]
        if not names:
            raise UserError(f"{path} has no column {' or '.join(columns)}: its columns are {', '.join(header)}")
        id_at, text_at = header.index("id"), header.index(names[0])
        rows = rows[1:]
    width = len(header) if "id" in header else 2
    for number, row in enumerate(rows, len(lines) - len(rows) + 1):
        if len(row) != width:
            raise UserError(f"{path}, line {number}: {len(row)} cells, expected {width}, separated by tabs")
    twice = [name for name, count in Counter(row[id_at] for row in rows).items() if count > 1]
    if twice:
        raise UserError(f"{path}: {len(twice)} ids stand there more than once: {_some(twice)}")
    return {row[id_at]: row[text_at] for row in rows}


def _some(names: Mapping[str, str] | Sequence[str]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
