"""The feature store: features of many clips in few files, with concurrent readers and writers."""

from __future__ import annotations

import os
import resource
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError
from slt.core.log import warn
from slt.data.features.header import StoreHeader, read_header
from slt.data.features.index import Index
from slt.data.features.records import ShardEntries, read_entries, shard_paths

READ_AT_ONCE = 16
MERGES = 100
"""So often a store is opened anew because files that it had found were merged meanwhile."""


class Features(Protocol):
    """Features of many clips, by id."""

    @property
    def header(self) -> StoreHeader:
        """What they are."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clips."""
        ...

    def __len__(self) -> int: ...

    def __contains__(self, id: object) -> bool: ...

    def __getitem__(self, id: str) -> NDArray[Any]: ...

    def length(self, id: str) -> int:
        """Return how many feature vectors a clip has."""
        ...


class FeatureStore:
    """The features in the folder of a store, as they were when it was opened.

    Its files may be merged while it is open (`slt features compact`): it then reads the new ones.

    Attributes:
        folder: where it lies.
        header: what the features are.
        damage: what is wrong with its files, in words; the clips concerned are not in it.
        unfinished: the files without a whole index, as writers at work and killed ones leave them.
    """

    def __init__(self, folder: Path, header: StoreHeader) -> None:
        self.folder = folder
        self.header = header
        # bfloat16 is the upper half of a float32.
        self._row_type = np.dtype("u2" if header.dtype == "bfloat16" else header.dtype).newbyteorder("<")
        self._load()

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Open the store in ``folder``; warn of files that were damaged.

        Raises:
            UserError: there is no store.
            SltError: its files cannot be read.
        """
        store = cls(folder, read_header(folder))
        for damage in store.damage:
            warn(f"{damage}; they count as never extracted")
        return store

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clips, in the order of the files."""
        return tuple(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._index.find(id) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def length(self, id: str) -> int:
        """Return how many feature vectors a clip has.

        Raises:
            KeyError: it is not in the store.
        """
        return self._index.n_rows[self._find(id)]

    def __getitem__(self, id: str) -> NDArray[Any]:
        """Return the features of a clip, (N, feature_dim), the caller's own; bfloat16 as float32.

        Raises:
            KeyError: it is not in the store.
            SltError: what is on the disk is not what was written, or cannot be read.
        """
        try:
            stored = self._read(id)
        except FileNotFoundError:  # its shard has been merged with others
            self._load()
            stored = self._read(id)
        return stored if self._row_type.kind == "f" else (stored.astype(np.uint32) << 16).view(np.float32)

    def _load(self) -> None:
        for _ in range(MERGES):
            self._shards = shard_paths(self.folder)
            try:
                found = read_shards(self._shards)
                break
            except FileNotFoundError:
                continue  # merged with others between the two
            except OSError as error:
                raise _cannot_read(error) from error
        else:
            raise SltError(f"the files of {self.folder} come and go", fix="wait until slt features compact is done")
        self.damage = [f"{shard} is {one.lost}" for shard, one in zip(self._shards, found, strict=True) if one.lost]
        self.unfinished = {
            shard: one for shard, one in zip(self._shards, found, strict=True) if not (one.is_finished or one.lost)
        }
        self._index = Index([one.table for one in found])
        release_memory()
        self._open = self._opener()

    def _opener(self) -> Callable[[int], _Shard]:
        """Return what opens a shard by its number, and keeps those used last open."""
        shards = self._shards
        return lru_cache(maxsize=_most_open())(lambda number: _Shard(shards[number]))

    def _find(self, id: str) -> int:
        if (number := self._index.find(id)) < 0:
            raise KeyError(id)
        return number

    def _read(self, id: str) -> NDArray[Any]:
        """Return a clip's numbers as they are stored, after checking them.

        Raises:
            FileNotFoundError: the shard is no longer there.
        """
        index, number = self._index, self._find(id)
        stored = np.empty((index.n_rows[number], self.header.feature_dim), self._row_type)
        try:
            shard = self._open(index.shard[number])
            n_bytes = os.preadv(shard.descriptor, [stored.data], index.start[number])
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _cannot_read(error, self._shards[index.shard[number]]) from error
        if n_bytes != stored.nbytes or zlib.crc32(stored.data) != index.crc32[number]:
            path = self._shards[index.shard[number]]
            raise SltError(
                f"the features of {id} in {path} are damaged: their checksum is not the one they were written with",
                fix=f"remove {path.name} and its index, then run again what wrote the store: its clips are made anew",
            )
        return stored

    # Open files cannot be sent to a worker process, which opens its own.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open = self._opener()


class _Shard:
    """An open file, closed when nobody uses it any more."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def read_shards(shards: Sequence[Path]) -> list[ShardEntries]:
    """Return what is in each shard.

    Raises:
        OSError: one of them cannot be read.
    """
    if len(shards) < READ_AT_ONCE:
        return [*map(read_entries, shards)]
    # On a network file system each file costs a round trip.
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        return list(pool.map(read_entries, shards))


def release_memory() -> None:
    """Give the memory of tables that are no longer used back to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _most_open() -> int:
    """Return how many shards a store may hold open: a quarter of what a process may, which has up to four stores."""
    return max(8, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4, 4096))


def _cannot_read(error: OSError, path: Path | None = None) -> SltError:
    return SltError(f"cannot read {error.filename or path}: {error.strerror or error}")
