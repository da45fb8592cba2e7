"""Log of translated clips, one per line, from which a killed evaluation resumes."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.files import cannot_write

PROGRESS_LOG = "decoded.jsonl"


class ProgressLog:
    """Append-only log of key → record, in a file or in memory.

    An incomplete last line is removed, and its clip is translated again.

    Args:
        folder: folder of ``decoded.jsonl``, created if absent; None: in memory.
        settings: everything that determines the records: the model and its decoding settings.

    Raises:
        UserError: the log has other settings, or no permission to write there.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._file: BinaryIO | None = None
        if folder is None:
            return
        path = folder / PROGRESS_LOG
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+b")  # noqa: SIM115 - closed on exit
            self._read(self._file, path, json.dumps({"settings": settings}, sort_keys=True))
        except OSError as error:
            raise cannot_write(path, error) from error

    def _read(self, file: BinaryIO, path: Path, head: str) -> None:
        file.seek(0)
        found = file.read()
        whole = found.rfind(b"\n") + 1
        file.truncate(whole)
        lines = found[:whole].decode().splitlines()
        if not lines:
            _write(file, head)
            return
        if lines[0] != head:
            raise UserError(
                f"{path} was written with other settings: found {lines[0]}, expected {head}",
                fix="give another --out, or delete that file",
            )
        for line in lines[1:]:
            row = json.loads(line)
            self._records[row.pop("question")] = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._records[key]

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Add a record; it is on disk when this returns.

        Raises:
            SltError: the disk is full, or failed.
        """
        if self._file:
            try:
                _write(self._file, json.dumps({"question": key, **record}))
            except OSError as error:
                raise cannot_write(Path(self._file.name), error) from error
        self._records[key] = dict(record)


def _write(file: BinaryIO, line: str) -> None:
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def packed(embedding: NDArray[np.float32]) -> str:
    """Encode a (D,) float32 embedding as base64."""
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode()


def unpacked(text: str) -> NDArray[np.float32]:
    """Decode the output of ``packed``: (D,) float32."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
