"""Clips become features in a store: what is there already is left, the rest is made, what fails is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slt.core.errors import SltError
from slt.core.files import atomic_write
from slt.core.signals import StopRequests
from slt.data.features.writer import FeatureWriter, UnfitError
from slt.extract.jobs import Job
from slt.frontend.base import Extractor
from slt.frontend.run import Outcome, extracted

FAILURES = "failures"
SAMPLED = 8

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(kw_only=True)
class Report:
    """What came of it.

    Attributes:
        n_there: clips that were in the store before.
        n_done: clips that were added.
        n_features: feature vectors of those.
        n_bytes: of those, on the disk.
        n_frames: frames of those.
        seconds: of video, of those.
        took_s: seconds it took.
        failures: (clip, why), so far.
        notes: what a person should know → of how many clips.
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

    def add(self, outcome: Outcome, itemsize: int) -> None:
        """Count a clip in."""
        if outcome.error or outcome.features is None:
            self.failures.append((outcome.job.id, outcome.error or SltError("nothing came of it")))
            return
        self.n_done += 1
        self.n_features += len(outcome.features)
        self.n_bytes += outcome.features.size * itemsize
        self.n_frames += outcome.n_frames
        self.seconds += outcome.seconds
        for note in outcome.notes:
            self.notes[note] = self.notes.get(note, 0) + 1


def extract(
    jobs: Sequence[Job],
    extractor: Extractor,
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
        extractor: what makes their features.
        folder: the store's; made if there is none.
        shard: which part of all clips these are; names this worker's files.
        stop: ends the work after the batch in hand.
        progress: told of every clip.

    Raises:
        UserError: the folder holds features of another kind, or something else.
        SltError: it cannot be written to.
    """
    began = time.perf_counter()
    report = Report()
    with FeatureWriter(folder, extractor.header, shard=shard) as writer:
        todo = [job for job in jobs if job.id not in writer]
        report.n_there = len(jobs) - len(todo)
        if progress:
            progress(report.n_there, len(jobs))
        try:
            with closing(extracted(todo, extractor, stop=stop)) as outcomes:
                for outcome in outcomes:
                    report.add(_stored(outcome, writer), _itemsize(extractor))
                    if progress:
                        progress(report.n_there + report.n_done + len(report.failures), len(jobs))
        finally:
            _list_failures(folder, shard, report)
            report.took_s = time.perf_counter() - began
    return report


def estimate(jobs: Sequence[Job], extractor: Extractor) -> Report:
    """Extract some clips, evenly spread over all, and keep nothing: how long all would take, and how much room."""
    began = time.perf_counter()
    report = Report()
    chosen = np.unique(np.linspace(0, len(jobs) - 1, min(SAMPLED, len(jobs))).astype(int))
    with closing(extracted([jobs[i] for i in chosen], extractor)) as outcomes:
        for outcome in outcomes:
            report.add(outcome, _itemsize(extractor))
    report.took_s = time.perf_counter() - began
    return report


def failures_path(folder: Path, shard: tuple[int, int]) -> Path:
    """Return where the failures of a worker's last run are listed."""
    return folder / FAILURES / "{:05d}-of-{:05d}.tsv".format(*shard)


def _stored(outcome: Outcome, writer: FeatureWriter) -> Outcome:
    """Store a clip's features; return what became of it then."""
    if outcome.features is None:
        return outcome
    try:
        writer.add(outcome.job.id, outcome.features)
    except UnfitError as error:
        return Outcome(job=outcome.job, error=error)
    return outcome


def _list_failures(folder: Path, shard: tuple[int, int], report: Report) -> None:
    path = failures_path(folder, shard)
    if not report.failures:
        path.unlink(missing_ok=True)
        return
    rows = [f"{id}\t{' '.join(error.message.split())}" for id, error in report.failures]
    with atomic_write(path) as file:
        file.write(("\n".join(["id\terror", *rows]) + "\n").encode(errors="backslashreplace"))


def _itemsize(extractor: Extractor) -> int:
    return 4 if extractor.header.dtype == "float32" else 2
