"""Merge the small files of a store into few large ones, in place, while others read it.

Records are copied as they stand, through a buffer of a few megabytes, and their checksums are checked on the way. Files
are merged in groups. A group's new file gets its name only when it is whole and on the disk, and only then the old ones
are removed: a kill at any moment leaves every clip in the store, at worst twice and equal, of which readers take one.
Running it again removes what is twice and goes on.
"""

from __future__ import annotations

import os
import re
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from slt.assets.lock import LOCK_NAME, folder_lock
from slt.core.errors import SltError
from slt.core.files import atomic_write, cannot_write
from slt.core.signals import StopRequests, stop_requests
from slt.data.features.header import read_header
from slt.data.features.records import DATA, INDEX, ShardEntries, record_ends, shard_paths, write_index
from slt.data.features.store import read_shards

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES = 1 << 30
BUFFER_BYTES = 8 << 20
PREFIX = "0-merged"
"""New files sort before those of writers, so that they are what readers take of a clip that is in both."""

_OWN_INDEX = re.compile(rf"(\d{{5}}-of-\d{{5}}|{PREFIX})-[0-9a-f]{{12}}\{INDEX}")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


@dataclass(kw_only=True)
class Merged:
    """What was done to a store.

    Attributes:
        n_before, n_after: its files, without their indices.
        n_clips: clips in it at the end.
        n_repeated: entries dropped because another file has the clip too.
        left: files left as they are, each with the reason.
        failures: clips that could not be read as they were written, and are no longer in the store.
    """

    n_before: int = 0
    n_after: int = 0
    n_clips: int = 0
    n_repeated: int = 0
    left: dict[Path, str] = field(default_factory=dict)
    failures: list[tuple[str, SltError]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One file to be merged: its entries, and which of them count."""

    path: Path
    found: ShardEntries
    kept: NDArray[np.bool_]


def compact(
    folder: Path, *, shard_bytes: int = SHARD_BYTES, unfinished: bool = False, progress: Progress | None = None
) -> Merged:
    """Merge the files of a store that are smaller than half of ``shard_bytes`` into files of about that size.

    Args:
        folder: the store's.
        shard_bytes: size of a new file; the disk needs so much free space.
        unfinished: also merge files that their writers did not finish; nobody may be writing to the store.
        progress: called with the bytes copied, and those to be copied in all.

    Raises:
        UserError: there is no store, or it cannot be written to.
        SltError: the disk failed; the store is as it was, or further merged.
        Stopped: that was asked for.
    """
    read_header(folder)
    merged = Merged()
    with _locked(folder), stop_requests() as stop:
        sources = _sources(folder, merged, unfinished=unfinished)
        small = [source for source in sources if source.found.n_bytes < shard_bytes / 2 or not source.kept.any()]
        groups = list(_groups(small, shard_bytes))
        copier = _Copier(merged, stop, progress, sum(source.found.n_bytes for group in groups for source in group))
        for group in groups:
            _merge(folder, group, copier)
            stop.check()
        _remove_lone_indices(folder)
        merged.n_after = len(shard_paths(folder))
    return merged


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the store against another merge; readers and writers need no lock."""
    with folder_lock(folder):
        try:
            yield
        finally:
            (folder / LOCK_NAME).unlink(missing_ok=True)


def _sources(folder: Path, merged: Merged, *, unfinished: bool) -> list[_Source]:
    """Return the files that can be merged, with the entries that count in each: of two of one id, the first."""
    shards = shard_paths(folder)
    try:
        found = read_shards(shards)
    except OSError as error:
        raise SltError(f"cannot read {error.filename}: {error.strerror}") from error
    merged.n_before = len(shards)
    seen: set[str] = set()
    sources = []
    for path, one in zip(shards, found, strict=True):
        kept = np.zeros(len(one.table), dtype=bool)
        for number, name in enumerate(one.table["id"].to_pylist()):
            kept[number] = name not in seen
            seen.add(name)
        if one.lost:
            merged.left[path] = one.lost
        elif not (one.is_finished or unfinished):
            merged.left[path] = "not finished by its writer"
        else:
            sources.append(_Source(path=path, found=one, kept=kept))
            merged.n_repeated += int((~kept).sum())
    merged.n_clips = len(seen)
    return sources


def _groups(sources: Sequence[_Source], shard_bytes: int) -> Iterator[list[_Source]]:
    """Yield files to be merged into one; a single finished file without repeated clips stays what it is."""
    group: list[_Source] = []
    for source in sources:
        group.append(source)
        if sum(one.found.n_bytes for one in group) >= shard_bytes:
            yield group
            group = []
    if len(group) > 1 or any(not (source.kept.all() and source.found.is_finished) for source in group):
        yield group


def _merge(folder: Path, group: Sequence[_Source], copier: _Copier) -> None:
    """Write one new file, then remove the old ones."""
    path = folder / f"{PREFIX}-{uuid.uuid4().hex[:12]}{DATA}"
    if any(source.kept.any() for source in group):
        try:
            with atomic_write(path) as file:
                table = copier.copy(group, file)
                write_index(path, table)  # before the file has its name, so that nobody reads it through
        except BaseException:
            path.with_suffix(INDEX).unlink(missing_ok=True)
            raise
    for source in group:
        _remove(source.path)
        _remove(source.path.with_suffix(INDEX))


class _Copier:
    """Copies records, checks them, and counts."""

    def __init__(self, merged: Merged, stop: StopRequests, progress: Progress | None, total: int) -> None:
        self.merged, self.stop, self.progress, self.total = merged, stop, progress, total
        self.done = 0

    def copy(self, group: Sequence[_Source], file: BinaryIO) -> pa.Table:
        """Copy the records that count of some files into a new one; return its entries."""
        import pyarrow as pa

        tables, at = [], 0
        for source in group:
            table, at = self._copy_one(source, file, at)
            tables.append(table)
        return pa.concat_tables(tables)

    def _copy_one(self, source: _Source, file: BinaryIO, at: int) -> tuple[pa.Table, int]:
        """Append the records that count of a file; return their entries there, and where the next record begins."""
        import pyarrow as pa

        table = source.found.table
        ends, starts = record_ends(table), table["start"].to_numpy().astype(np.int64)
        begins = np.concatenate([[0], ends])[:-1]
        sizes, sums = table["n_bytes"].to_numpy().astype(np.int64), table["crc32"].to_numpy()
        kept = source.kept.copy()
        with open(source.path, "rb", buffering=0) as shard:
            for first, last in _pieces(begins, ends):
                piece = memoryview(os.pread(shard.fileno(), int(ends[last - 1] - begins[first]), int(begins[first])))
                for number in np.flatnonzero(kept[first:last]) + first:
                    begin, start, end = (int(where[number] - begins[first]) for where in (begins, starts, ends))
                    if zlib.crc32(piece[start : start + int(sizes[number])]) != sums[number]:
                        kept[number] = False
                        self._lose(table["id"][number].as_py(), source.path)
                        continue
                    file.write(piece[begin:end])
                    starts[number] = at + start - begin
                    at += end - begin
                self._count(len(piece))
        table = table.set_column(table.schema.get_field_index("start"), "start", pa.array(starts.astype(np.uint64)))
        return table.filter(pa.array(kept)), at

    def _lose(self, id: str, path: Path) -> None:
        error = SltError(f"its checksum is not the one it was written with, in {path.name}", fix="extract it again")
        self.merged.failures.append((id, error))
        self.merged.n_clips -= 1

    def _count(self, n_bytes: int) -> None:
        self.done += n_bytes
        if self.progress:
            self.progress(self.done, self.total)
        self.stop.check()


def _pieces(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield runs of records, first and last excluded, that fit into the buffer; or a single one that does not."""
    first = 0
    while first < len(ends):
        last = int(np.searchsorted(ends, begins[first] + BUFFER_BYTES, side="right"))
        last = max(last, first + 1)
        yield first, last
        first = last


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _remove_lone_indices(folder: Path) -> None:
    """Remove indices whose files are gone, as a kill between the two removals leaves them."""
    for path in folder.glob(f"*{INDEX}"):
        if _OWN_INDEX.fullmatch(path.name) and not path.with_suffix(DATA).exists():
            _remove(path)
