"""Append features to a store; concurrent writers need no locks."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write, cannot_write, flush_to_disk, publish_folder
from slt.core.leftovers import release, remove_leftovers, temporary
from slt.data.features.header import HEADER_NAME, StoreHeader, header_bytes, read_header
from slt.data.features.records import DATA, LONGEST_ID, Entry, encode, n_indexed, write_index
from slt.data.features.store import FeatureStore

CLIPS_PER_SHARD = 1000
QUIET_S = 600
"""A file without an index that was not written to for so long was left by a writer that was killed."""


class UnfitError(UserError):
    """Features that a store cannot take: their own fault, not the disk's."""


class FeatureWriter:
    """A writer of one store; to be used as a context.

    Every writer appends to files of its own, so writers need no locks. A clip is in the store as soon as ``add``
    returns; a kill at any moment costs the clip being added, never another.

    Args:
        folder: the store's; made if there is none.
        header: what the features are; the same as that of a store that is there.
        shard: (I, N), which part of the work this writer does; distinguishes its files from others' in a listing.
        clips_per_shard: after how many clips a file is finished and the next begun.

    Raises:
        UserError: ``folder`` holds features of another kind, or something else.
        SltError: it cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        header: StoreHeader,
        *,
        shard: tuple[int, int] = (0, 1),
        clips_per_shard: int = CLIPS_PER_SHARD,
    ) -> None:
        self.folder = folder.absolute()
        _create(self.folder, header)
        self.header = header
        self._prefix = "{:05d}-of-{:05d}".format(*shard)
        self._clips_per_shard = clips_per_shard
        self._before = FeatureStore.open(self.folder)
        self._added: set[str] = set()
        self._index_unfinished()
        self._path: Path | None = None
        self._file = -1
        self._entries: list[Entry] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __contains__(self, id: object) -> bool:
        return id in self._added or id in self._before

    def add(self, id: str, features: NDArray[Any]) -> None:
        """Append the features of a clip.

        Args:
            id: of the clip.
            features: (N, feature_dim) float, N at least 1.

        Raises:
            UnfitError: no id, or the id is in the store; features of another shape, or too large for the store's dtype.
            SltError: the disk failed; what was added before stays.
        """
        if not id or id in self or len(id.encode()) > LONGEST_ID:
            why = "the store has some of that id" if id in self else "an id has 1 to 65536 bytes"
            raise UnfitError(f"cannot add features as {id!r:.80}: {why}")
        if features.ndim != 2 or features.shape[1] != self.header.feature_dim or not len(features):
            raise UnfitError(
                f"the features of {id} have the shape {features.shape}, expected (N, {self.header.feature_dim})"
            )
        if self._path is None:
            self._begin()
        record, entry = encode(id, len(features), _as_bytes(id, features, self.header.dtype), self._size)
        self._write(record)
        self._entries.append(entry)
        self._added.add(id)
        if len(self._entries) == self._clips_per_shard:
            self.close()

    def close(self) -> None:
        """Finish the file begun; the next ``add`` begins another."""
        if self._path is None:
            return
        path, self._path = self._path, None
        os.close(self._file)
        if self._entries:
            flush_to_disk(path)
            write_index(path, self._entries)
        else:
            path.unlink()  # the disk was full before the first clip
        self._entries, self._size = [], 0

    def _index_unfinished(self) -> None:
        """Write the index of files that have none, which killed writers left: to read them through is slow.

        Files of writers at work are theirs. Should one be at work all the same, slower than ``QUIET_S``, its own index
        will replace this one, and until then readers look behind it.
        """
        for shard, found in self._before.unfinished.items():
            with contextlib.suppress(SltError, OSError):  # it may belong to another user, or have been merged
                now = shard.stat()
                is_left = now.st_size == found.n_bytes and time.time() - now.st_mtime > QUIET_S
                if is_left and len(found.table) > max(found.n_indexed, n_indexed(shard)):
                    write_index(shard, found.table)

    def _begin(self) -> None:
        path = self.folder / f"{self._prefix}-{uuid.uuid4().hex[:12]}{DATA}"
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._path = path

    def _write(self, record: bytes) -> None:
        left = memoryview(record)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise cannot_write(self._path or self.folder, error) from error
        self._size += len(record)


def _create(folder: Path, header: StoreHeader) -> None:
    """Make an empty store unless there is one; of several writers who come at once, one makes it."""
    if not (folder / HEADER_NAME).exists():
        draft = temporary(folder)
        remove_leftovers(folder)
        try:
            with atomic_write(draft / HEADER_NAME) as file:
                file.write(header_bytes(header))
            publish_folder(draft, folder)  # refuses a folder with anything in it
        except UserError:
            if not (folder / HEADER_NAME).exists():
                raise
        finally:
            release(draft)
    if (found := read_header(folder)) != header:
        now = vars(header)
        differ = "; ".join(f"{name} {was}, now {now[name]}" for name, was in vars(found).items() if was != now[name])
        raise UserError(f"{folder} holds features of another kind: {differ}", fix="name another folder")


def _as_bytes(id: str, features: NDArray[Any], dtype: str) -> bytes:
    """Return features as they lie on the disk: row after row, little-endian, rounded to the nearest."""
    if dtype == "bfloat16":
        bits = features.astype("<f4").view("<u4")
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        # Rounding would carry a NaN with low bits only over into infinity or zero.
        stored = np.where(np.isnan(features), 0x7FC0, rounded).astype("<u2")
    else:
        with np.errstate(over="ignore"):
            stored = features.astype(np.dtype(dtype).newbyteorder("<"))
        if np.isinf(stored).any() and np.isfinite(features).all():
            raise UnfitError(f"the features of {id} reach {np.abs(features).max():.4g}, too large for {dtype}")
    return stored.tobytes()
