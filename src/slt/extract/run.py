"""Extract clips into a feature store: skip those it has, report those that fail."""

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
from slt.frontend.base import ClipSource, Frontend
from slt.frontend.run import ClipFeatures, Outcome, many_clip_features
from slt.frontend.streams import Stream

FAILURES = "failures"
SAMPLED = 8

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(kw_only=True)
class Report:
    """Counts of an extraction, and what failed.

    Attributes:
        n_there: clips that were in the store before.
        n_done: clips that were added.
        n_features: feature vectors of those.
        n_bytes: of those, on the disk.
        n_frames: frames of those.
        seconds: of video, of those.
        took_s: seconds the extraction took.
        failures: (clip, why), so far.
        notes: warning → number of clips it holds for.
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

    def add(self, rows: NDArray[np.float32], found: ClipFeatures, itemsize: int) -> None:
        """Count a clip that was extracted."""
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
    stop: StopRequests | None = None,
    progress: Progress | None = None,
) -> Report:
    """Extract clips into a store. What failed is listed in ``failures/``, and tried again by the next run.

    A clip is in the store as soon as it is ready, so a run that was killed goes on where it was.

    Args:
        jobs: the clips of this worker.
        frontend: the extractor; of one stream.
        folder: the store's; made if there is none.
        shard: which part of all clips these are; names this worker's files.
        stop: ends the work after the batch in hand.
        progress: called with every clip.

    Raises:
        UserError: the folder holds features of another kind, or something else.
        SltError: it cannot be written to.
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
            with closing(many_clip_features(todo, frontend, stop=stop)) as outcomes:
                for outcome in outcomes:
                    _add(report, outcome, frontend, writer)
                    if progress:
                        progress(report.n_there + report.n_done + len(report.failures), len(jobs))
        finally:
            _list_failures(folder, shard, report)
            report.took_s = time.perf_counter() - began
    return report


def estimate(jobs: Sequence[ClipSource], frontend: Frontend) -> Report:
    """Extract some clips, evenly spread over all, and keep nothing: how long all would take, and how much room."""
    began = time.perf_counter()
    report = Report()
    chosen = np.unique(np.linspace(0, len(jobs) - 1, min(SAMPLED, len(jobs))).astype(int))
    with closing(many_clip_features([jobs[i] for i in chosen], frontend)) as outcomes:
        for outcome in outcomes:
            _add(report, outcome, frontend)
    report.took_s = time.perf_counter() - began
    return report


def failures_path(folder: Path, shard: tuple[int, int]) -> Path:
    """Return where the failures of a worker's last run are listed."""
    return folder / FAILURES / "{:05d}-of-{:05d}.tsv".format(*shard)


def _add(report: Report, outcome: Outcome, frontend: Frontend, writer: FeatureWriter | None = None) -> None:
    """Store the features of a clip, where there is a writer, and count it."""
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
    """Return a clip's features, and the same as an array (N, feature_dim).

    Raises:
        UserError: nothing was detected in any frame.
        SltError: it failed, or there is NaN or infinity among them.
    """
    clip, found = outcome.clip, outcome.found
    if found is None:
        raise outcome.error or SltError(f"no features were computed from {clip.id}")
    if found.is_empty:
        raise UserError(
            f"{clip.pose or clip.path}: no person detected in any frame of {clip.id}",
            fix="look at the video, and remove the clip from the manifest if it shows nobody",
        )
    rows = found.readings[0][0].float().cpu().numpy()
    if not stream.has_gaps and not np.isfinite(rows).all():
        raise SltError("the extractor gave NaN or infinity", fix="give --dtype float32 or --dtype bfloat16")
    return found, rows


def _list_failures(folder: Path, shard: tuple[int, int], report: Report) -> None:
    path = failures_path(folder, shard)
    if not report.failures:
        path.unlink(missing_ok=True)
        return
    rows = [f"{id}\t{' '.join(error.message.split())}" for id, error in report.failures]
    with atomic_write(path) as file:
        file.write(("\n".join(["id\terror", *rows]) + "\n").encode(errors="backslashreplace"))
