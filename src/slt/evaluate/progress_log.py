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
    """Answers of a model, by question, kept in a file as they come; without a file, in memory only.

    A last line that was not written to its end is taken away; whoever asks again for its clip gets no answer.

    Args:
        folder: where ``decoded.jsonl`` lies or is made; None: nowhere.
        settings: what all answers depend on: the model and how it searches.

    Raises:
        UserError: there is a journal of other settings, or this user cannot write there.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        self._answers: dict[str, dict[str, Any]] = {}
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
                f"{path} was made with other settings: {lines[0]}, now {head}",
                fix="give another --out, or delete that file",
            )
        for line in lines[1:]:
            row = json.loads(line)
            self._answers[row.pop("question")] = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def __contains__(self, question: str) -> bool:
        return question in self._answers

    def __getitem__(self, question: str) -> dict[str, Any]:
        return self._answers[question]

    def add(self, question: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer; once this returns, a kill does not lose it.

        Raises:
            SltError: the disk is full, or failed.
        """
        if self._file:
            try:
                _write(self._file, json.dumps({"question": question, **answer}))
            except OSError as error:
                raise cannot_write(Path(self._file.name), error) from error
        self._answers[question] = dict(answer)


def _write(file: BinaryIO, line: str) -> None:
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def packed(embedding: NDArray[np.float32]) -> str:
    """Write an embedding (D,) as text."""
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode()


def unpacked(text: str) -> NDArray[np.float32]:
    """Read what ``packed`` wrote."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
