"""Import features from files, export them, and summarise a store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from slt.core.errors import SltError
from slt.core.files import atomic_write
from slt.core.signals import stop_requests
from slt.data.features.store import Features
from slt.data.features.writer import FeatureWriter, UnfitError

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""

Failures = list[tuple[str, SltError]]
"""Clips, each with why it failed."""


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


def export_files(features: Features, out: Path, format: Literal["npy", "pt"], progress: Progress) -> Failures:
    """Write ``<id>.npy`` or ``<id>.pt`` for every clip, unless it is there; return what could not be read.

    Raises:
        UserError: ``out`` cannot be written to.
        Stopped: that was asked for; what is written stays.
    """
    failures: Failures = []
    with stop_requests() as stop:
        for done, id in enumerate(features.ids, 1):
            path = out / f"{id}.{format}"
            try:
                rows = None if path.exists() else features[id]
            except SltError as error:
                failures.append((id, error))
                continue
            if rows is not None:
                with atomic_write(path) as file:
                    _save(file, rows, format)
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


def _save(file: Any, rows: Any, format: str) -> None:
    if format == "npy":
        np.save(file, rows)
        return
    import torch

    torch.save(torch.from_numpy(rows), file)
