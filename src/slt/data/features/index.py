"""The index of a feature store in memory: about 40 bytes a clip and its id, whatever the number of files."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {"start": "q", "n_rows": "I", "crc32": "I"}
"""Column of a shard's index → its type as `array` names it."""


class Index:
    """Where the features of each clip lie. Of two entries of one id, the first counts.

    Ids are kept end to end in one string of bytes, and found by their CRC-32: ``_order`` lists the clips by it, and
    ``_first`` says where in ``_order`` the clips begin that share its highest bits. Columns are `array`s: a number is
    had from one in a third of the time that NumPy takes.

    Args:
        tables: the entries of each shard, as `records.ShardEntries` has them.

    Attributes:
        shard: N numbers, that of the shard of each clip.
        start: N offsets of its features, in bytes from the beginning of the shard.
        n_rows: N numbers of feature vectors.
        crc32: N checksums of its features.
    """

    shard: array[int]
    start: array[int]
    n_rows: array[int]
    crc32: array[int]

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._names, self._limits = _end_to_end([table["id"] for table in tables])
        self.shard = _array("i", [np.repeat(np.arange(len(tables)), [*map(len, tables)])])
        for name, kind in COLUMNS.items():
            setattr(self, name, _array(kind, [table[name].to_numpy() for table in tables]))
        hashes = self._sort()
        if (kept := self._first_of_each(hashes)) is not None:
            self._keep(kept)
            self._sort()

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self._split())

    def find(self, id: str) -> int:
        """Return the number of a clip; -1 where there is none of that id."""
        name = id.encode(errors="surrogatepass")
        limits, first, bucket = self._limits, self._first, zlib.crc32(name) >> self._shift
        place, end = first[bucket], first[bucket + 1]
        while place < end:
            number = self._order[place]
            if self._names[limits[number] : limits[number + 1]] == name:
                return number
            place += 1
        return -1

    def _split(self) -> Iterator[bytes]:
        begin = 0
        for end in self._limits[1:]:
            yield self._names[begin:end]
            begin = end

    def _sort(self) -> NDArray[np.uint32]:
        """Make ``_order`` and ``_first``; return the hashes in that order."""
        hashes = np.fromiter(map(zlib.crc32, self._split()), np.uint32, len(self))
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        bits = max(1, len(self).bit_length() - 1)  # one or two clips in a bucket
        self._shift = 32 - bits
        edges = np.arange((1 << bits) + 1, dtype=np.uint64) << np.uint64(self._shift)
        self._order, self._first = _array("i", [order]), _array("i", [np.searchsorted(hashes, edges)])
        return hashes

    def _first_of_each(self, hashes: NDArray[np.uint32]) -> NDArray[np.bool_] | None:
        """Return which entries are the first of their id; None: all. Only ids of one hash need to be compared."""
        same = np.flatnonzero(hashes[1:] == hashes[:-1])
        kept = np.ones(len(self), dtype=bool)
        for number in {self._order[place] for place in np.concatenate([same, same + 1]).tolist()}:
            name = self._names[self._limits[number] : self._limits[number + 1]]
            kept[number] = self.find(name.decode()) == number
        return None if kept.all() else kept

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        names = [name for name, keep in zip(self._split(), kept.tolist(), strict=True) if keep]
        self._names = b"".join(names)
        self._limits = _array("q", [np.cumsum([0, *map(len, names)])])
        for name, kind in {"shard": "i", **COLUMNS}.items():
            setattr(self, name, _array(kind, [np.asarray(getattr(self, name))[kept]]))


def _end_to_end(columns: Sequence[pa.ChunkedArray]) -> tuple[bytes, array[int]]:
    """Return the N strings of some columns as UTF-8 without gaps, and the N + 1 limits between them."""
    import pyarrow as pa

    chunks = [chunk for column in columns for chunk in column.cast(pa.large_string()).chunks if len(chunk)]
    if not chunks:
        return b"", array("q", [0])
    joined = pa.concat_arrays(chunks)
    _, limits, names = joined.buffers()
    found = np.frombuffer(limits, np.int64)[joined.offset : joined.offset + len(joined) + 1]
    return names.slice(found[0], found[-1] - found[0]).to_pybytes(), _array("q", [found - found[0]])


def _array(kind: str, parts: Sequence[NDArray[Any]]) -> array[int]:
    found: array[int] = array(kind)
    for part in parts:
        found.frombytes(part.astype(kind, copy=False).data.cast("B"))
    return found
