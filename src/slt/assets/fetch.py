"""Fetch published files concurrently, atomically, and verified by checksum."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

from slt.assets.cards import sha256_of
from slt.assets.download import Download, Patience, check_space
from slt.assets.lock import folder_lock
from slt.assets.lockfile import FetchedFile, add_record, check_file, read_records
from slt.assets.published import PublishedFile, address
from slt.core import log
from slt.core.errors import SltError, UserError, as_slt_error
from slt.core.files import cannot_write, flush_to_disk
from slt.core.home import is_offline

PARALLEL = 4
Progress: TypeAlias = Callable[[str, int, int | None], object]


def fetch(
    files: Sequence[PublishedFile],
    folder: Path,
    *,
    licence: str,
    mirror: str | None = None,
    parallel: int = PARALLEL,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> dict[str, FetchedFile]:
    """Check that files are in a folder, whole and as they were when they first came; fetch those that are not there.

    Killed at any moment, it goes on where it stopped when it is called again. A file that lies there without a record,
    because it was copied there, is recorded as it is. With ``SLT_OFFLINE`` no socket is opened.

    Args:
        files: what to fetch.
        folder: where to; made when there is none.
        licence: what was shown to the user, for the record.
        mirror: an address that holds the same paths as the authors' host; ``SLT_MIRROR`` when None.
        parallel: how many files are fetched at once.
        progress: called with a file's name, its bytes that are here, and its size if known.
        patience: with the servers.

    Returns:
        the record of each file, by name.

    Raises:
        UserError: a file that was fetched has changed since; or is absent, and may not be fetched; or the mirror, a
            proxy, a certificate or the folder's rights are wrong.
        SltError: a server does not give a file, gives another one than before, or the disk is full.
    """
    sources = {file.name: address(file, mirror) for file in files}
    absent = _absent(files, folder)
    _verify([file for file in files if file not in absent], folder)
    if not absent:
        return _records(files, folder)
    with folder_lock(folder):
        _adopt([file for file in files if (folder / file.name).is_file()], folder, licence)
        absent = _absent(absent, folder)  # whoever held the lock before may have fetched them
        if absent and is_offline():
            raise _offline(absent, folder)
        check_space(folder, sum(max(0, file.about_bytes - _bytes_of_part(folder, file)) for file in absent))
        _Fetching(folder, sources, licence, progress or _ignore, patience or Patience()).run(absent, parallel)
        return _records(files, folder)


class _GivenUp(Exception):
    """The call that this thread works for has ended."""


class _Fetching:
    """One call's work, on several threads; only the first of them speaks with the user.

    Args:
        folder: where to.
        sources: address of each file, by name.
        licence: for the record.
        progress: as for ``fetch``.
        patience: with the servers.
    """

    def __init__(
        self, folder: Path, sources: Mapping[str, str], licence: str, progress: Progress, patience: Patience
    ) -> None:
        self._folder, self._sources, self._licence = folder, sources, licence
        self._progress, self._patience = progress, patience
        self._events: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._recording = threading.Lock()
        self._given_up = threading.Event()
        self._outcomes: dict[str, SltError | None] = {}

    def run(self, files: Sequence[PublishedFile], parallel: int) -> None:
        """Fetch all files, or as many as possible, and raise why some were not."""
        waiting = iter(files)  # its next item goes to one thread only
        for _ in range(max(1, min(parallel, len(files)))):
            # Daemons: an interrupted command need not wait for a server that is silent.
            threading.Thread(target=self._work, args=(waiting,), daemon=True).start()
        try:
            while len(self._outcomes) < len(files):
                self._events.get()()
        finally:
            self._given_up.set()
        if failures := [failure for failure in self._outcomes.values() if failure]:
            raise _summary(failures)

    def _work(self, waiting: Iterator[PublishedFile]) -> None:
        for file in waiting:
            try:
                size, digest = self._fetch_one(file)
            except Exception as error:  # told by the first thread, with those of the others
                self._events.put(partial(self._finish, file.name, "failed", as_slt_error(error)))
            else:
                self._events.put(partial(self._finish, file.name, f"{log.size(size)}, sha256 {digest}", None))

    def _finish(self, name: str, outcome: str, failure: SltError | None) -> None:
        self._outcomes[name] = failure
        log.say(f"{name}: {outcome}")

    def _fetch_one(self, file: PublishedFile) -> tuple[int, str]:
        """Fetch a file, hold it against its record, or record it, and give it its name; return its size and sha256."""
        download = Download(
            file,
            self._sources[file.name],
            self._folder,
            patience=self._patience,
            report=lambda here, size: self._events.put(partial(self._progress, file.name, here, size)),
            tell=lambda message: self._events.put(partial(log.say, message)),
            go_on=self._go_on,
        )
        came = download.run()
        size, digest = download.part.stat().st_size, sha256_of(download.part)
        recorded = read_records(self._folder).get(file.name)
        if recorded and recorded.sha256 != digest:
            download.discard()
            raise _other_than_before(file, self._sources[file.name], recorded, digest)
        self._go_on()
        # First the record: a file without one passes for copied by hand.
        if not recorded:
            new = FetchedFile(
                url=came.url, size=size, sha256=digest, etag=came.etag, fetched_at=_now(), licence=self._licence
            )
            with self._recording:
                add_record(self._folder, file.name, new)
        try:
            os.replace(download.part, self._folder / file.name)
            flush_to_disk(self._folder)
        except OSError as error:
            raise cannot_write(self._folder / file.name, error) from error
        download.forget()
        return size, digest

    def _go_on(self) -> None:
        if self._given_up.is_set():
            raise _GivenUp


def _absent(files: Sequence[PublishedFile], folder: Path) -> list[PublishedFile]:
    """Return the files that are not there, or not recorded."""
    records = read_records(folder)
    return [file for file in files if not (folder / file.name).is_file() or file.name not in records]


def _verify(files: Sequence[PublishedFile], folder: Path) -> None:
    """Hold files against their records."""
    records = read_records(folder)
    if files:
        log.say(f"verifying what is in {folder}: {log.size(sum(records[file.name].size for file in files))}")
    problems: list[SltError] = []
    for file in files:
        try:
            check_file(folder / file.name, records[file.name])
        except UserError as error:
            problems.append(error)
    if problems:
        raise _summary(problems)


def _adopt(files: Sequence[PublishedFile], folder: Path, licence: str) -> None:
    """Record files that were put there by hand."""
    records = read_records(folder)
    for file in files:
        path = folder / file.name
        if file.name in records:
            continue
        if (size := path.stat().st_size) < file.smallest_bytes:
            raise UserError(
                f"{path} has {size} bytes; about {file.about_bytes} were expected",
                fix="it was not copied whole, or is something else: remove it, then copy or fetch it again",
            )
        digest = sha256_of(path)
        log.say(f"{file.name}: was there already, recorded as it is: {log.size(size)}, sha256 {digest}")
        add_record(
            folder,
            file.name,
            FetchedFile(url=None, size=size, sha256=digest, fetched_at=_now(), licence=licence),
        )


def _records(files: Sequence[PublishedFile], folder: Path) -> dict[str, FetchedFile]:
    records = read_records(folder)
    return {file.name: records[file.name] for file in files}


def _bytes_of_part(folder: Path, file: PublishedFile) -> int:
    part = folder / f"{file.name}.part"
    return part.stat().st_size if part.is_file() else 0


def _offline(absent: Sequence[PublishedFile], folder: Path) -> UserError:
    names = ", ".join(f"{file.name} (about {log.size(file.about_bytes)})" for file in absent)
    return UserError(
        f"SLT_OFFLINE is set, and {folder} lacks {names}",
        fix="where there is a network: `slt models fetch NAME --to DIR`; then copy all that is in DIR into that folder",
    )


def _other_than_before(file: PublishedFile, url: str, recorded: FetchedFile, digest: str) -> SltError:
    return SltError(
        f"{url} is not the {file.name} that was fetched at {recorded.fetched_at}: it has the sha256 {digest},"
        f" recorded was {recorded.sha256}; refused",
        fix="find out why from its authors; after `slt models rm`, which forgets the old one, this one is accepted",
    )


def _summary(failures: Iterable[SltError]) -> SltError:
    """Put several failures into one, a user error if all of them are."""
    errors = list(failures)
    fixes = "; ".join(dict.fromkeys(error.fix for error in errors if error.fix))
    kind = UserError if all(isinstance(error, UserError) for error in errors) else SltError
    summary = kind("\n  ".join(error.message for error in errors), fix=fixes or None)
    summary.__cause__ = errors[0]
    return summary


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ignore(name: str, here: int, size: int | None) -> None:
    """Nobody wants to know."""
