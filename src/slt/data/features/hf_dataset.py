"""Features as a Hugging Face dataset: parquet files and a card, which ``datasets.load_dataset(DIR)`` reads.

One row per clip: ``id``, ``features`` (N lists of feature_dim numbers), and the columns of a manifest. bfloat16, which
parquet does not know, is written as float32 and comes back as what it was.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.features.by_clip import FeaturesByClip
from slt.data.features.export import FileKind, Rows, check_whole, read_plan
from slt.data.features.folder import array_of
from slt.data.features.header import StoreHeader
from slt.data.manifest import complaint_about_id
from slt.data.parquet import NUMBERS, PARQUET, open_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CARD = "README.md"
HEADER_KEY = b"slt"
GROUP_BYTES = 16 << 20
"""Features in a row group, which is what a reader holds at once."""

_Row: TypeAlias = tuple[str, NDArray[Any], Mapping[str, Any]]


def write_parquet(file: BinaryIO, rows: Rows, header: StoreHeader, columns: Sequence[str]) -> None:
    """Write one file of a dataset, row group by row group."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, _table([], header, columns).schema, use_dictionary=False) as writer:
        for group in _groups(rows):
            writer.write_table(_table(group, header, columns))


HF_DATASET = FileKind(name="hf-datasets", path="data/train-{number:05d}-of-{count:05d}.parquet", write=write_parquet)


def write_card(folder: Path, header: StoreHeader, n_clips: int) -> None:
    """Write the dataset's card, once all files are there; its YAML tells ``datasets`` where they are."""
    made = f"by the extractor `{header.extractor}`" if header.extractor else "by an extractor that was not recorded"
    weights = f" with the weights of SHA-256 `{header.weights_sha256}`" if header.weights_sha256 else ""
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*.parquet",
        "tags:",
        "- sign-language",
        "- slt",
        "---",
        "",
        "# Features of sign-language videos",
        "",
        f"{n_clips} clips; `features` is (N, {header.feature_dim}) {_parquet_type(header)}, made {made}{weights}.",
        "",
        "```python",
        "from datasets import load_dataset",
        'clips = load_dataset("THIS_FOLDER", split="train").with_format("numpy")',
        "```",
        "",
        "`slt features import THIS_FOLDER --out STORE` makes a feature store of it, equal to the bit.",
        "",
    ]
    with atomic_write(folder / CARD) as file:
        file.write("\n".join(lines).encode())


class HfDatasetFeatures(FeaturesByClip):
    """The features in the parquet files of a Hugging Face dataset: columns ``id`` and ``features``.

    Attributes:
        header: what they are; of files that are not ours, the width and numbers of the first clip.

    Args:
        path: a ``.parquet`` file, a dataset's folder, or one of parquet files.

    Raises:
        UserError: no such files or columns, two clips of one id, files of different features, or an export that is not
            whole.
    """

    def __init__(self, path: Path) -> None:
        self._files = [path] if path.is_file() else parquet_files(path)
        self.places: dict[str, tuple[int, int, int]] = {}
        self._held: tuple[tuple[int, int], pa.ChunkedArray] | None = None
        headers = [self._index(number) for number in range(len(self._files))]
        plan = read_plan(path) if path.is_dir() else None
        check_whole(path, plan, len(self.places))
        if not self.places:
            raise UserError(f"{path} holds no clip")
        said = [header for header in headers if header]
        if any(header != said[0] for header in said):
            raise UserError(f"the files of {path} hold different kinds of features", fix="import them one by one")
        self.header = plan.header if plan else said[0] if said else self._header_of_first()

    def _index(self, number: int) -> StoreHeader | None:
        """Note where a file's clips are; return the header in it, if there is one."""
        path = self._files[number]
        file = open_parquet(path)
        if missing := {"id", "features"} - {*file.schema_arrow.names}:
            raise UserError(
                f"{path} has no column {' and '.join(sorted(missing))}; its columns are"
                f" {', '.join(file.schema_arrow.names)}",
                fix="rename its columns: id, and features with a list of lists of floats",
            )
        for group in range(file.num_row_groups):
            for row, id in enumerate(_column(file, group, "id", path).to_pylist()):
                expected = complaint_about_id(id) if isinstance(id, str) else "a name"
                if self.places.setdefault(id, (number, group, row)) != (number, group, row):
                    expected = "a name of one clip"
                if expected:
                    raise UserError(f"{path} has the id {id!r:.80}, expected {expected}", fix="rename it")
        said = (file.schema_arrow.metadata or {}).get(HEADER_KEY)
        return parse(StoreHeader, json.loads(said), where=str(path)) if said else None

    def read(self, id: str) -> NDArray[Any]:
        """See ``FeaturesByClip``."""
        number, group, row = self.places[id]
        if self._held is None or self._held[0] != (number, group):
            path = self._files[number]
            self._held = (number, group), _column(open_parquet(path), group, "features", path)
        return array_of(_as_array(self._held[1][row]), f"the column features of {id} in {self._files[number]}")

    def where(self, id: str) -> str:
        """See ``FeaturesByClip``."""
        return f"the row {id} of {self._files[self.places[id][0]]}"

    def _header_of_first(self) -> StoreHeader:
        first = self.read(next(iter(self.places)))
        dtype: Any = "float16" if first.dtype == np.float16 else "float32"
        return StoreHeader(feature_dim=first.shape[1], dtype=dtype)

    # A row group in hand is not sent to a worker process.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}


def parquet_files(folder: Path) -> list[Path]:
    """Return the parquet files of a dataset: those in ``data``, or else in the folder itself."""
    return sorted(folder.glob(f"data/*{PARQUET}")) or sorted(folder.glob(f"*{PARQUET}"))


def _groups(rows: Rows) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    n_bytes = 0
    for row in rows:
        group.append(row)
        n_bytes += row[1].nbytes
        if n_bytes >= GROUP_BYTES:
            yield group
            group, n_bytes = [], 0
    if group:
        yield group


def _table(rows: Sequence[_Row], header: StoreHeader, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    width, kind = header.feature_dim, _parquet_type(header)
    numbers = pa.float16() if kind == "float16" else pa.float32()
    flat = np.concatenate([np.zeros(0, kind), *(features.ravel() for _, features, _ in rows)]).astype(kind, copy=False)
    limits = np.cumsum([0, *(len(features) for _, features, _ in rows)])
    inner = pa.ListArray.from_arrays(pa.array(np.arange(limits[-1] + 1) * width, pa.int32()), pa.array(flat, numbers))
    columns = {
        "id": pa.array([id for id, _, _ in rows], pa.string()),
        "features": pa.ListArray.from_arrays(pa.array(limits, pa.int32()), inner),
    }
    hf = {"id": _value("string"), "features": {"shape": [None, width], "dtype": kind, "_type": "Array2D"}}
    for name in names:
        arrow, hf[name] = (pa.float64(), _value("float64")) if name in NUMBERS else (pa.string(), _value("string"))
        columns[name] = pa.array([said.get(name) for _, _, said in rows], arrow)
    metadata = {
        HEADER_KEY: json.dumps(dataclasses.asdict(header)).encode(),
        b"huggingface": json.dumps({"info": {"features": hf}}).encode(),
    }
    return pa.table(columns).replace_schema_metadata(metadata)


def _value(kind: str) -> dict[str, str]:
    return {"dtype": kind, "_type": "Value"}


def _parquet_type(header: StoreHeader) -> str:
    return "float16" if header.dtype == "float16" else "float32"


def _column(file: pq.ParquetFile, group: int, name: str, path: Path) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return file.read_row_group(group, columns=[name])[name]
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged in its column {name}: {error}", fix="copy it again") from error


def _as_array(cell: Any) -> NDArray[Any]:
    """Return a list of equally long lists, however deep, as an array; anything else as an array of no numbers."""
    import pyarrow as pa

    values, shape = getattr(cell, "values", None), []
    while isinstance(values, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        lengths = values.value_lengths().unique()
        if len(lengths) != 1 or not lengths[0].as_py():
            return np.zeros(0, object)
        shape.append(lengths[0].as_py())
        values = values.flatten()
    if values is None or not pa.types.is_floating(values.type):
        return np.zeros(0, object)
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found.reshape(-1, *shape) if shape else found
