"""Read and write parquet files of plain rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PARQUET = ".parquet"
NUMBERS = ("start_s", "end_s")
GROUP_ROWS = 100_000


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a parquet file: ``start_s`` and ``end_s`` as numbers, all else as text; what is not there is null.

    Raises:
        UserError: this user cannot write there.
        SltError: the disk is full, or failed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            name: pa.array([row.get(name) for row in rows], pa.float64() if name in NUMBERS else pa.string())
            for name in columns
        }
    )
    with atomic_write(path) as file:
        pq.write_table(table, file, row_group_size=GROUP_ROWS)


def read_rows(path: Path) -> tuple[tuple[str, ...], Iterator[list[str]]]:
    """Return the columns of a parquet file, and its rows as cells of text; a number as Python writes it, null empty.

    Columns of anything but text and numbers, such as features or pictures, are left out.

    Raises:
        UserError: it is no parquet file, or not whole.
        SltError: the machine could not read it.
    """
    file = open_parquet(path)
    import pyarrow.types as kinds

    simple = [
        field.name
        for field in file.schema_arrow
        if kinds.is_string(field.type) or kinds.is_large_string(field.type) or kinds.is_primitive(field.type)
    ]
    return tuple(simple), _cells(file, simple, path)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file.

    Raises:
        UserError: it is none, or not whole.
        SltError: the machine could not read it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except OSError as error:
        raise SltError(f"cannot read {path}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise UserError(f"{path} is not a whole parquet file: {error}", fix="copy it again") from error


def _cells(file: pq.ParquetFile, names: Sequence[str], path: Path) -> Iterator[list[str]]:
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=GROUP_ROWS, columns=list(names)):
            columns = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in batch.columns]
            yield from map(list, zip(*columns, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged: {error}", fix="copy it again") from error
