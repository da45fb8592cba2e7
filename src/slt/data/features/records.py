"""Records of a feature store with checksums, and the index that speeds up finding them.

A shard is a file of records, only ever appended to. A record is a head, the clip's id, and its features, padded with
zeros so that both the features and the next record begin at a multiple of 64 bytes:

    0   4 bytes   ``SLTF``
    4   uint32    CRC-32 of all from byte 8 to the end of the id
    8   uint32    bytes of the id
    12  uint32    rows
    16  uint64    bytes of the features
    24  uint32    CRC-32 of the features
    28            the id, UTF-8

All numbers are little-endian. The shard alone is the truth: its index may be old or absent, and what lies behind its
last entry is then read record by record. A writer that is killed leaves at most one record that is not whole, at the
end, where nobody takes it for one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from slt.core.files import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa

DATA, INDEX = ".features", ".parquet"
MAGIC = b"SLTF"
ALIGNED = 64
LONGEST_ID = 1 << 16
_HEAD = struct.Struct("<4sIIIQI")
_SUMMED = 8  # where the part of the head begins that its checksum is of


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where the features of one clip lie.

    Attributes:
        id: of the clip.
        start: of its features, in bytes from the beginning of the shard.
        n_bytes: of its features.
        n_rows: feature vectors.
        crc32: of those bytes.
    """

    id: str
    start: int
    n_bytes: int
    n_rows: int
    crc32: int

    @property
    def end(self) -> int:
        """Where the next record begins, in bytes."""
        return _aligned(self.start + self.n_bytes)


def encode(id: str, n_rows: int, features: bytes, at: int) -> tuple[bytes, Entry]:
    """Return a record that is to lie ``at`` bytes into its shard, and its entry in the index."""
    name, crc32 = id.encode(), zlib.crc32(features)
    summed = _HEAD.pack(MAGIC, 0, len(name), n_rows, len(features), crc32)[_SUMMED:] + name
    head = struct.pack("<4sI", MAGIC, zlib.crc32(summed)) + summed
    start = _aligned(at + len(head))
    entry = Entry(id=id, start=start, n_bytes=len(features), n_rows=n_rows, crc32=crc32)
    record = head.ljust(start - at, b"\0") + features
    return record.ljust(entry.end - at, b"\0"), entry


def scan(file: BinaryIO, at: int) -> Iterator[Entry]:
    """Yield the whole records of a shard from byte ``at`` on, up to the first that is not whole; reads them all."""
    while (entry := _read_entry(file, at)) is not None:
        yield entry
        at = entry.end


def _read_entry(file: BinaryIO, at: int) -> Entry | None:
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, crc32, n_name, n_rows, n_bytes, features_crc32 = _HEAD.unpack(head)
    if magic != MAGIC or n_name > LONGEST_ID:
        return None
    name = file.read(n_name)
    if zlib.crc32(head[_SUMMED:] + name) != crc32:
        return None
    start = _aligned(at + _HEAD.size + n_name)
    file.seek(start)
    features = file.read(n_bytes)
    if len(features) < n_bytes or zlib.crc32(features) != features_crc32:
        return None
    entry = Entry(id=name.decode(), start=start, n_bytes=n_bytes, n_rows=n_rows, crc32=features_crc32)
    n_padding = entry.end - start - n_bytes
    return entry if len(file.read(n_padding)) == n_padding else None


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a store, in the order in which they count; without those still being merged."""
    return sorted(path for path in folder.glob(f"*{DATA}") if not path.name.startswith("."))


def write_index(shard: Path, entries: Sequence[Entry] | pa.Table) -> None:
    """Write the index of a shard, in the shard's order."""
    import pyarrow.parquet as pq

    table = tabulate(entries) if isinstance(entries, Sequence) else entries
    with atomic_write(shard.with_suffix(INDEX)) as file:
        pq.write_table(table, file, write_page_checksum=True)


def tabulate(entries: Sequence[Entry]) -> pa.Table:
    """Return entries as an index has them: one column per field."""
    import pyarrow as pa

    return pa.table({name: pa.array([getattr(entry, name) for entry in entries], kind) for name, kind in _columns()})


@dataclass(frozen=True, kw_only=True)
class ShardEntries:
    """What is in one shard.

    Attributes:
        table: columns `id`, `start`, `n_bytes`, `n_rows`, `crc32`, one row per clip, in the shard's order.
        n_indexed: how many of the rows its index holds.
        n_bytes: size of the shard.
        lost: what has been lost, in words; empty: nothing.
    """

    table: pa.Table
    n_indexed: int
    n_bytes: int
    lost: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether its writer has finished it: the index holds all there is, to the last byte."""
        return not self.lost and self.n_indexed == len(self.table) and self.end == self.n_bytes

    @property
    def end(self) -> int:
        """Where the last whole record ends, in bytes."""
        return _end(self.table)


def read_entries(shard: Path) -> ShardEntries:
    """Return what is in a shard, including what came after its index was written.

    Raises:
        OSError: the shard cannot be read.
    """
    table = _read_index(shard.with_suffix(INDEX))
    n_bytes = shard.stat().st_size
    n_known = len(table)
    if (end := _end(table)) > n_bytes:
        whole = table.slice(0, _n_within(table, n_bytes))
        lost = f"cut off: {n_known - len(whole)} of its {n_known} clips are gone"
        return ShardEntries(table=whole, n_indexed=len(whole), n_bytes=n_bytes, lost=lost)
    if end < n_bytes:
        import pyarrow as pa

        with open(shard, "rb") as file:
            table = pa.concat_tables([table, tabulate(list(scan(file, end)))])
    return ShardEntries(table=table, n_indexed=n_known, n_bytes=n_bytes)


def n_indexed(shard: Path) -> int:
    """Return how many clips the index of a shard holds now."""
    return len(_read_index(shard.with_suffix(INDEX)))


def _read_index(path: Path) -> pa.Table:
    """Return what an index says; nothing where it is absent or damaged, as the shard says the same."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(_columns())
    try:
        with open(path, "rb") as file:
            # One thread: an index is small, and many are read at once.
            table = pq.ParquetFile(file, page_checksum_verification=True).read(use_threads=False)
        table = table.select(schema.names).cast(schema)
        if not any(column.null_count for column in table.columns):
            return table
    except (pa.ArrowException, OSError, KeyError):
        pass
    return schema.empty_table()


def record_ends(table: pa.Table) -> NDArray[np.int64]:
    """Return where each record of a shard ends, (N,) int64, in bytes from its beginning; the next begins there."""
    ends: NDArray[np.int64] = _aligned(table["start"].to_numpy().astype(int) + table["n_bytes"].to_numpy().astype(int))
    return ends


def _columns() -> list[tuple[str, pa.DataType]]:
    import pyarrow as pa

    whole = [("start", pa.uint64()), ("n_bytes", pa.uint64()), ("n_rows", pa.uint32()), ("crc32", pa.uint32())]
    return [("id", pa.string()), *whole]


def _end(table: pa.Table) -> int:
    if not len(table):
        return 0
    return _aligned(table["start"][-1].as_py() + table["n_bytes"][-1].as_py())


def _n_within(table: pa.Table, n_bytes: int) -> int:
    """Return how many records of a shard lie within its first ``n_bytes``."""
    return int(np.searchsorted(record_ends(table), n_bytes, side="right"))


def _aligned(n: Any) -> Any:
    return -(-n // ALIGNED) * ALIGNED
