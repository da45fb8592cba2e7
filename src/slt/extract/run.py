"""Extract clips into a feature store: skip those already there, report those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write
from slt.core.signals import StopRequests
from slt.data.features.writer import FeatureWriter, UnfitError
from slt.frontend.base import Frontend
from slt.frontend.clip import ClipSource
from slt.frontend.result import ClipFeatures, Outcome
from slt.frontend.run import many_clip_features
from slt.frontend.streams import Stream
from slt.frontend.usage import Usage

FAILURES = "failures"
N_SAMPLED = 8

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(kw_only=True)
class Report:
    """Counts and failures of an extraction.

    Attributes:
        n_there: clips that were already in the store.
        n_done: clips that were added.
        n_features: feature vectors of the added clips.
        n_bytes: bytes of their features on disk.
        n_frames: their video frames.
        seconds: their duration.
        took_s: duration of the extraction in seconds.
        failures: (clip id, error).
        notes: warning → number of clips.
        usage: what the time was spent on.
    """

    n_there: int = 0
    n_done: int = 0
    n_features: int = 0
    n_bytes: int = 0
    n_frames: int = 0
    seconds: float = 0.0
    took_s: float = 0.0
    failures: list[tuple[str, SltError]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def add(self, rows: NDArray[np.float32], found: ClipFeatures, itemsize: int) -> None:
        """Count an extracted clip."""
        self.n_done += 1
        self.n_features += len(rows)
        self.n_bytes += rows.size * itemsize
        self.n_frames += found.n_frames
        self.seconds += found.seconds
        for note in found.warnings:
            self.notes[note] = self.notes.get(note, 0) + 1


def extract(
    jobs: Sequence[ClipSource],
    frontend: Frontend,
    folder: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    n_workers: int | None = None,
    stop: StopRequests | None = None,
    progress: Progress | None = None,
) -> Report:
    """Extract clips into a store. Failed clips are listed in ``failures/``, and tried again by the next run.

    Each clip is stored as soon as it is extracted, so a killed run can be resumed.

    Args:
        jobs: the clips of this worker.
        frontend: an extractor with one stream.
        folder: folder of the store; created if absent.
        shard: (index, count) of this worker, used in file names.
        n_workers: clips read at once; None: see ``slt.frontend.run.many_clip_features``.
        stop: stops after the current batch.
        progress: called after each clip with (done, total).

    Raises:
        UserError: the folder holds other features or other files.
        SltError: the store cannot be written.
    """
    began = time.perf_counter()
    report = Report()
    (header,) = frontend.headers
    with FeatureWriter(folder, header, shard=shard) as writer:
        todo = [job for job in jobs if job.id not in writer]
        report.n_there = len(jobs) - len(todo)
        if progress:
            progress(report.n_there, len(jobs))
        try:
            found = many_clip_features(todo, frontend, stop=stop, n_workers=n_workers, usage=report.usage)
            with closing(found) as outcomes:
                for outcome in outcomes:
                    _add(report, outcome, frontend, writer)
                    if progress:
                        progress(report.n_there + report.n_done + len(report.failures), len(jobs))
        finally:
            _list_failures(folder, shard, report)
            report.took_s = time.perf_counter() - began
    return report


def estimate(jobs: Sequence[ClipSource], frontend: Frontend) -> Report:
    """Extract ``N_SAMPLED`` evenly spaced clips without storing them, to estimate time and disk space."""
    began = time.perf_counter()
    report = Report()
    chosen = np.unique(np.linspace(0, len(jobs) - 1, min(N_SAMPLED, len(jobs))).astype(int))
    with closing(many_clip_features([jobs[i] for i in chosen], frontend)) as outcomes:
        for outcome in outcomes:
            _add(report, outcome, frontend)
    report.took_s = time.perf_counter() - began
    return report


def failures_path(folder: Path, shard: tuple[int, int]) -> Path:
    """Return the path of the list of failures of a worker's last run."""
    return folder / FAILURES / "{:05d}-of-{:05d}.tsv".format(*shard)


def _add(report: Report, outcome: Outcome, frontend: Frontend, writer: FeatureWriter | None = None) -> None:
    """Store the features of a clip, if there is a writer, and count it."""
    try:
        found, rows = _rows(outcome, frontend.streams[0])
    except SltError as error:
        report.failures.append((outcome.clip.id, error))
        return
    try:
        if writer:
            writer.add(outcome.clip.id, rows)
    except UnfitError as error:
        report.failures.append((outcome.clip.id, error))
        return
    report.add(rows, found, 4 if frontend.headers[0].dtype == "float32" else 2)


def _rows(outcome: Outcome, stream: Stream) -> tuple[ClipFeatures, NDArray[np.float32]]:
    """Return the features of a clip, also as an (N, feature_dim) float32 array.

    Raises:
        UserError: no person was detected in any frame.
        SltError: extraction failed, or features contain NaN or infinity.
    """
    clip, found = outcome.clip, outcome.found
    if found is None:
        raise outcome.error or SltError(f"no features were computed from {clip.id}")
    if found.is_empty:
        raise UserError(
            f"{clip.pose or clip.path}: no person detected in any frame of {clip.id}",
            fix="check the video, and remove the clip from the manifest if it shows no person",
        )
    rows = found.readings[0][0].float().cpu().numpy()
    if not stream.has_gaps and not np.isfinite(rows).all():
        raise SltError("the extractor returned NaN or infinity", fix="give --dtype float32 or --dtype bfloat16")
    return found, rows


def _list_failures(folder: Path, shard: tuple[int, int], report: Report) -> None:
    path = failures_path(folder, shard)
    if not report.failures:
        path.unlink(missing_ok=True)
        return
    rows = [f"{id}\t{' '.join(error.message.split())}" for id, error in report.failures]
    with atomic_write(path) as file:
        file.write(("\n".join(["id\terror", *rows]) + "\n").encode(errors="backslashreplace"))
