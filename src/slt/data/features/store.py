"""The feature store: features of many clips in few files, with concurrent readers and writers."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError
from slt.core.log import warn
from slt.data.features.header import StoreHeader, read_header
from slt.data.features.records import DATA, Entry, read_entries


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

    Attributes:
        folder: where it lies.
        header: what the features are.
        damage: what is wrong with its files, in words; the clips concerned are not in it.
    """

    def __init__(self, folder: Path, header: StoreHeader, shards: list[Path]) -> None:
        self.folder = folder
        self.header = header
        self.damage: list[str] = []
        self._shards = shards
        self._entries: dict[str, tuple[int, Entry]] = {}
        self._maps: dict[int, mmap.mmap] = {}
        for number, shard in enumerate(shards):
            entries, lost = read_entries(shard)
            if lost:
                self.damage.append(f"{shard} is {lost}")
            for entry in entries:
                # Two workers may both have made a clip that was handed from one to the other: it is the same.
                self._entries.setdefault(entry.id, (number, entry))

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Open the store in ``folder``; warn of files that were damaged.

        Raises:
            UserError: there is no store.
            SltError: its files cannot be read.
        """
        header = read_header(folder)
        try:
            store = cls(folder, header, sorted(folder.glob(f"*{DATA}")))
        except OSError as error:
            raise SltError(f"cannot read {error.filename}: {error.strerror}") from error
        for damage in store.damage:
            warn(f"{damage}; they count as never extracted")
        return store

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clips, in the order of the files."""
        return tuple(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def length(self, id: str) -> int:
        """Return how many feature vectors a clip has.

        Raises:
            KeyError: it is not in the store.
        """
        return self._entries[id][1].n_rows

    def __getitem__(self, id: str) -> NDArray[Any]:
        """Return the features of a clip, (N, feature_dim), the caller's own; bfloat16 as float32.

        Raises:
            KeyError: it is not in the store.
            SltError: what is on the disk is not what was written.
        """
        number, entry = self._entries[id]
        stored = memoryview(self._map(number))[entry.start : entry.start + entry.n_bytes]
        if zlib.crc32(stored) != entry.crc32:
            shard = self._shards[number]
            raise SltError(
                f"the features of {id} in {shard} are damaged: their checksum is not the one they were written with",
                fix=f"remove {shard.name} and its index, then run again what wrote the store: its clips are made anew",
            )
        return _as_array(stored, self.header).reshape(entry.n_rows, self.header.feature_dim)

    def _map(self, number: int) -> mmap.mmap:
        if number not in self._maps:
            with open(self._shards[number], "rb") as file:
                self._maps[number] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[number]

    # A map cannot be sent to a worker process, which makes its own.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}


def _as_array(stored: memoryview, header: StoreHeader) -> NDArray[Any]:
    if header.dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(stored, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(stored, np.dtype(header.dtype).newbyteorder("<")).astype(header.dtype)
