"""Read lines of a text table, and report all their errors together."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import UserError
from slt.video.oserrors import explain_os_error

SHOWN = 20  # more mistakes are counted
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a table.

    Attributes:
        line: counted from 1; 0 is the file as a whole.
        column: its name, empty when it is the line as a whole.
        found: what stands there, in words or as ``repr``.
        expected: what should.
    """

    line: int
    column: str = ""
    found: str
    expected: str

    def __str__(self) -> str:
        place = ", ".join([f"line {self.line}"] * bool(self.line) + [f"column {self.column}"] * bool(self.column))
        return f"{place}: found {self.found}, expected {self.expected}".removeprefix(": ")


def shown(value: str) -> str:
    """Return a cell as a mistake shows it: quoted, and short."""
    return repr(value if len(value) <= 60 else f"{value[:57]}...")


def refusal(path: Path, mistakes: Sequence[Mistake], *, fix: str | None = None) -> UserError:
    """Return the error that reports all mistakes in a file, in the order of its lines."""
    ordered = sorted(mistakes, key=lambda mistake: mistake.line)
    lines = [str(mistake) for mistake in ordered[:SHOWN]]
    if len(ordered) > SHOWN:
        lines.append(f"and {len(ordered) - SHOWN} more")
    if len(lines) == 1:
        return UserError(f"{path}: {lines[0]}", fix=fix)
    return UserError("\n  ".join([f"{len(ordered)} mistakes in {path}:", *lines]), fix=fix)


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        UserError: no such file, or no permission.
        SltError: the machine could not read it.
    """
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, expected a file", fix="give the file itself") from None
    except (OSError, ValueError) as error:
        raise explain_os_error(path, error) from error


def read_lines(path: Path, mistakes: list[Mistake], *, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of the lines of a UTF-8 file, counted from 1.

    A byte order mark and the carriage returns of Windows are taken away. Lines that are no text are noted as mistakes
    and left out; so are blank ones, unless ``blank``.

    Raises:
        UserError: no such file, no permission, nothing in it, or another encoding altogether.
    """
    is_empty = True
    for number, raw in enumerate(_raw_lines(path), 1):
        if number == 1:
            for mark, encoding in _OTHER_ENCODINGS.items():
                if raw.startswith(mark):
                    fix = f"iconv -f {encoding} -t UTF-8 IN > OUT"
                    raise UserError(f"{path} is text in {encoding}, expected UTF-8", fix=fix)
            raw = raw.removeprefix(codecs.BOM_UTF8)
        is_empty = is_empty and not raw.strip()
        line = _decoded(number, raw.removesuffix(b"\n").removesuffix(b"\r"), mistakes)
        if line is not None and (blank or line.strip()):
            yield number, line
    if is_empty:
        raise UserError(f"{path} is empty, expected a table", fix="copy or make it again")


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, expected a file", fix="give the file itself") from None
    except (OSError, ValueError) as error:
        raise explain_os_error(path, error) from error


def _decoded(number: int, raw: bytes, mistakes: list[Mistake]) -> str | None:
    """Return a line as text; or note why it is none."""
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"the byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        mistakes.append(Mistake(line=number, found=found, expected="UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 may help)"))
        return None
    for sign, name in {"\0": "a NUL byte", "\r": "a carriage return within the line"}.items():
        if sign in line:
            found = f"{name} at position {line.index(sign) + 1}"
            mistakes.append(Mistake(line=number, found=found, expected="plain text"))
            return None
    return line
