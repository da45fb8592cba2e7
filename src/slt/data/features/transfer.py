"""Import features from files, export them, and summarise a store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError
from slt.core.files import atomic_write
from slt.core.signals import stop_requests
from slt.data.features.store import Features
from slt.data.features.writer import FeatureWriter, UnfitError
from slt.data.manifest import complaint_about_id

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""

Failures = list[tuple[str, SltError]]
"""Clips, each with why it failed."""

FileWriter = Callable[[Path, NDArray[Any]], None]
"""Writes the features of one clip to a file."""


def describe(features: Features) -> dict[str, Any]:
    """Return what the features are, and how many; reads the index, or each file of a folder."""
    header = dataclasses.asdict(features.header)
    lengths = np.array([features.length(id) for id in features.ids], dtype=np.int64)
    rows = int(lengths.sum())
    return {
        **{name: value for name, value in header.items() if name != "format"},
        "clips": len(features),
        "features": rows,
        "shortest": int(lengths.min(initial=rows)),
        "longest": int(lengths.max(initial=0)),
        "bytes": rows * features.header.feature_dim * (4 if features.header.dtype == "float32" else 2),
    }


def read_all(features: Features) -> Failures:
    """Read every clip; return those that cannot be read as they were written."""
    failures: Failures = []
    for id in features.ids:
        try:
            features[id]
        except SltError as error:
            failures.append((id, error))
    return failures


def export_files(features: Features, out: Path, suffix: str, write: FileWriter, progress: Progress) -> Failures:
    """Write ``<id>.<suffix>`` for every clip, unless it is there; return what could not be read or is unfit.

    Raises:
        UserError: ``out`` cannot be written to.
        Stopped: that was asked for; what is written stays.
    """
    failures: Failures = []
    with stop_requests() as stop:
        for done, id in enumerate(features.ids, 1):
            if expected := complaint_about_id(id):
                failures.append((id, UnfitError(f"found the clip id {id!r:.80}, expected {expected}")))
                continue
            path = out / f"{id}.{suffix}"
            try:
                rows = None if path.exists() else features[id]
            except SltError as error:
                failures.append((id, error))
                continue
            try:
                if rows is not None:
                    write(path, rows)
            except UnfitError as error:
                failures.append((id, error))
            progress(done, len(features))
            stop.check()
    return failures


def import_all(features: Features, out: Path, progress: Progress) -> Failures:
    """Append every clip to a store, made if there is none, unless it is there; return what could not be read.

    Raises:
        UserError: ``out`` holds features of another kind, or cannot be written to.
        Stopped: that was asked for; what is written stays.
    """
    failures: Failures = []
    with stop_requests() as stop, FeatureWriter(out, features.header) as writer:
        for done, id in enumerate(features.ids, 1):
            rows = None
            try:
                rows = None if id in writer else features[id]
            except SltError as error:
                failures.append((id, error))
            try:
                if rows is not None:
                    writer.add(id, rows)
            except UnfitError as error:
                failures.append((id, error))
            progress(done, len(features))
            stop.check()
    return failures


def write_npy(path: Path, rows: NDArray[Any]) -> None:
    """Write a file of NumPy's."""
    with atomic_write(path) as file:
        np.save(file, rows)


def write_pt(path: Path, rows: NDArray[Any]) -> None:
    """Write a file of torch's."""
    import torch

    with atomic_write(path) as file:
        torch.save(torch.from_numpy(rows), file)


FILE_WRITERS: dict[str, FileWriter] = {"npy": write_npy, "pt": write_pt}
