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
    """Read and pair hypotheses and references.

    Tables (``.tsv``) and results (``.json``) are paired by id; a reference without a hypothesis is a failed clip. Plain
    text is paired by line. Without ``references``, they are read from the hypotheses' file.

    Returns:
        The sentences in the order of the references; and ids with a hypothesis but no reference.

    Raises:
        UserError: a missing, empty or invalid file; duplicate ids; or different numbers of lines.
    """
    found = _read(hypotheses, HYPOTHESIS_COLUMNS)
    expected = _read(references or hypotheses, REFERENCE_COLUMNS)
    plain = [path for path in (hypotheses, references) if path and not _has_ids(path)]
    if references is None and plain:
        raise UserError(f"{hypotheses} contains no references", fix="give them with --ref FILE")
    if len(plain) == 1:
        raise UserError(
            f"{plain[0]} is paired by line and the other file by id, expected the same for both",
            fix="give both as plain text, or both as .tsv with ids",
        )
    if plain and len(found) != len(expected):
        raise UserError(
            f"{hypotheses} has {len(found)} lines and {references} {len(expected)}, expected as many in both",
            fix="give one hypothesis per reference, in the same order; an empty line if there is none",
        )
    sentences = [
        Sentence(
            id=name, reference=text, hypothesis=found.get(name, ""), failure=None if name in found else "no hypothesis"
        )
        for name, text in expected.items()
    ]
    if not any(name in found for name in expected):
        raise UserError(
            f"{hypotheses} has the ids {_shorten(found)}, expected those of {references}: {_shorten(expected)}",
            fix="give files of the same clips",
        )
    return sentences, [name for name in found if name not in expected]


def _has_ids(path: Path) -> bool:
    return path.suffix.lower() in (".tsv", ".json")


def _read(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """Return id → text; the ids of plain lines are line numbers."""
    if path.suffix.lower() == ".json":
        wanted = "hypothesis" if columns is HYPOTHESIS_COLUMNS else "reference"
        return {
            one.id: getattr(one, wanted)
            for one in read_results(path).sentences
            if wanted == "reference" or one.failure is None
        }
    lines = _lines(path)
    if _has_ids(path):
        return _table(path, lines, columns)
    return {str(number): line for number, line in enumerate(lines, 1)}


def _lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, or UTF-16 with a byte order mark; only line feeds end lines."""
    found = read_bytes(path)
    wide = found.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = found.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = found[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not in UTF-8: line {line} contains the byte 0x{found[error.start]:02x}",
            fix=f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > converted.txt, if that is its encoding",
        ) from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UserError(f"{path} is empty, expected one text per line")
    return [line.removesuffix("\r") for line in lines]


def _table(path: Path, lines: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Read a table with a header that contains ``id``, or with two columns, id and text."""
    rows = [line.split("\t") for line in lines]
    header = rows[0]
    id_at, text_at = 0, 1
    if "id" in header:
        names = [name for name in columns if name in header]
        if not names:
            raise UserError(f"{path} has the columns {', '.join(header)}, expected one of {', '.join(columns)}")
        id_at, text_at = header.index("id"), header.index(names[0])
        rows = rows[1:]
    width = len(header) if "id" in header else 2
    for number, row in enumerate(rows, len(lines) - len(rows) + 1):
        if len(row) != width:
            raise UserError(f"{path}, line {number}: {len(row)} cells, expected {width}, separated by tabs")
    duplicates = [name for name, count in Counter(row[id_at] for row in rows).items() if count > 1]
    if duplicates:
        raise UserError(f"{path} has {len(duplicates)} duplicate ids: {_shorten(duplicates)}, expected each once")
    return {row[id_at]: row[text_at] for row in rows}


def _shorten(names: Mapping[str, str] | Sequence[str]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
