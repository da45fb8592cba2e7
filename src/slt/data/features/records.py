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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slt.core.files import atomic_write

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
    return Entry(id=name.decode(), start=start, n_bytes=n_bytes, n_rows=n_rows, crc32=features_crc32)


def write_index(shard: Path, entries: list[Entry]) -> None:
    """Write the index of a shard, in the shard's order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array([entry.id for entry in entries], pa.string()),
        "start": pa.array([entry.start for entry in entries], pa.uint64()),
        "n_bytes": pa.array([entry.n_bytes for entry in entries], pa.uint64()),
        "n_rows": pa.array([entry.n_rows for entry in entries], pa.uint32()),
        "crc32": pa.array([entry.crc32 for entry in entries], pa.uint32()),
    }
    with atomic_write(shard.with_suffix(INDEX)) as file:
        pq.write_table(pa.table(columns), file, write_page_checksum=True)


def read_entries(shard: Path) -> tuple[list[Entry], str | None]:
    """Return what is in a shard, what came after its index was written included; and what has been lost, in words.

    Raises:
        OSError: the shard cannot be read.
    """
    known = _read_index(shard.with_suffix(INDEX))
    with open(shard, "rb") as file:
        n_bytes = file.seek(0, 2)
        whole = [entry for entry in known if entry.end <= n_bytes]
        if len(whole) < len(known):
            return whole, f"cut off: {len(known) - len(whole)} of its {len(known)} clips are gone"
        return [*known, *scan(file, known[-1].end if known else 0)], None


def _read_index(path: Path) -> list[Entry]:
    """Return what an index says; nothing where it is absent or damaged, as the shard says the same."""
    if not path.exists():
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        return [Entry(**row) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, TypeError):
        return []


def _aligned(n: int) -> int:
    return -(-n // ALIGNED) * ALIGNED
