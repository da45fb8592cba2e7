"""``fetched.json``: source and checksum of every fetched file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slt.assets.cards import sha256_of
from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write

RECORD_NAME = "fetched.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """One file as it was when it came.

    Attributes:
        url: where it came from; None for one that was put there by hand.
        size: in bytes.
        sha256: in hexadecimal. Its authors publish none, so the first one seen is the one it must keep.
        etag: what the server called this version of it.
        fetched_at: when, UTC, ISO 8601.
        licence: as it was shown before it was fetched.
    """

    url: str | None
    size: int
    sha256: str
    etag: str | None = None
    fetched_at: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class _Record:
    format: int = FORMAT
    files: Mapping[str, FetchedFile] = field(default_factory=dict)


def read_records(folder: Path) -> dict[str, FetchedFile]:
    """Return what is recorded of the files in ``folder``, by name; nothing where nothing was ever fetched.

    Raises:
        UserError: the record is damaged; it is never taken for an absent one.
    """
    path = folder / RECORD_NAME
    fix = f"bring {path} back from a copy, or remove {folder} and fetch again"
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", fix=fix) from error
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise UserError(
            f"{path} has the format {content.get('format')!r}; this version of slt reads format {FORMAT}",
            fix="use the version of slt that fetched the files, or a newer one",
        )
    return dict(parse(_Record, content, where=str(path)).files)


def add_record(folder: Path, name: str, file: FetchedFile) -> None:
    """Note a file that came; only for who holds the folder's lock."""
    record = _Record(files={**read_records(folder), name: file})
    with atomic_write(folder / RECORD_NAME) as out:
        out.write((json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False) + "\n").encode())


def check_file(path: Path, recorded: FetchedFile) -> None:
    """Compare a file with its record; reads all of it.

    Raises:
        UserError: it is absent, or is not what was recorded.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing", fix="fetch it again: slt models fetch")
    found = f"{size} bytes" if (size := path.stat().st_size) != recorded.size else f"the sha256 {sha256_of(path)}"
    expected = f"{recorded.size} bytes" if size != recorded.size else f"the sha256 {recorded.sha256}"
    if found != expected:
        raise UserError(
            f"{path} has changed since {recorded.fetched_at}: it has {found}, recorded was {expected}",
            fix=f"do not use it; remove {path} and fetch it again",
        )


def verify_files(folder: Path) -> int:
    """Compare every recorded file in ``folder`` with its record.

    Returns:
        how many there are.

    Raises:
        UserError: some are absent or changed; all are reported.
    """
    records = read_records(folder)
    problems: list[UserError] = []
    for name, recorded in records.items():
        try:
            check_file(folder / name, recorded)
        except UserError as error:
            problems.append(error)
    if problems:
        fixes = dict.fromkeys(problem.fix for problem in problems if problem.fix)
        raise UserError("; ".join(problem.message for problem in problems), fix="; ".join(fixes))
    return len(records)
