"""Decoding, cropping and extracting at the same time: threads decode several clips, one thread runs the extractor.

FFmpeg, OpenCV, dlib and MediaPipe let go of Python's lock while they work, so threads are enough, and no pixel is
copied from process to process. A bounded queue lies between the halves: memory does not grow with videos or clips.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError, as_slt_error
from slt.core.signals import StopRequests
from slt.extract.jobs import Job
from slt.frontend.base import Extractor, Notes, Piece

WAIT_S = 0.05
MOST_WORKERS = 16


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one clip.

    Attributes:
        job: the clip.
        features: (N, feature_dim) float32; None: it failed.
        error: why.
        n_frames: frames of it that were read.
        seconds: how much of the video that is.
        notes: what a person should know about it.
    """

    job: Job
    features: NDArray[np.float32] | None = None
    error: SltError | None = None
    n_frames: int = 0
    seconds: float = 0.0
    notes: Notes = field(default_factory=list)


@dataclass(eq=False)
class _Clip:
    """A clip on its way.

    Attributes:
        job: which.
        notes: what its reader noted.
        done: features of the pieces that have been through the extractor, in order.
        n_waiting: pieces that have not.
        n_frames: frames read.
        seconds: likewise.
        ended: no more pieces will come.
        error: why it failed.
    """

    job: Job
    notes: Notes = field(default_factory=list)
    done: list[NDArray[np.float32]] = field(default_factory=list)
    n_waiting: int = 0
    n_frames: int = 0
    seconds: float = 0.0
    ended: bool = False
    error: SltError | None = None

    def outcome(self) -> Outcome:
        """Return what became of it."""
        return Outcome(
            job=self.job,
            features=None if self.error else np.concatenate(self.done),
            error=self.error,
            n_frames=self.n_frames,
            seconds=self.seconds,
            notes=self.notes,
        )


_Part: TypeAlias = Piece | SltError | None
"""A piece of a clip, why it failed, or that it has ended."""


def extracted(
    jobs: Iterable[Job], extractor: Extractor, *, stop: StopRequests | None = None, n_workers: int | None = None
) -> Generator[Outcome, None, None]:
    """Extract clips, each as soon as it is ready; one that is broken costs only itself.

    Args:
        jobs: the clips.
        extractor: what makes their features.
        stop: asked between batches; clips not finished by then are left.
        n_workers: clips decoded at once; by default as many as there are cores.
    """
    readers = _Readers(jobs, extractor, n_workers or min(os.cpu_count() or 1, MOST_WORKERS))
    batch: list[tuple[_Clip, Piece]] = []
    try:
        while not (stop and stop.requested):
            touched: list[_Clip] = []
            # What is there goes through the extractor at once: it never waits for a fuller batch.
            if message := readers.take(wait=not batch):
                clip, part = message
                touched.append(clip)
                if isinstance(part, Piece):
                    clip.n_waiting += 1
                    batch.append((clip, part))
                else:
                    clip.ended, clip.error = True, clip.error or part
            if batch and (message is None or len(batch) >= extractor.at_once):
                _extract(batch, extractor)
                touched += [clip for clip, _ in batch]
                batch = []
            yield from (clip.outcome() for clip in dict.fromkeys(touched) if clip.ended and not clip.n_waiting)
            if message is None and readers.finished:
                return
    finally:
        readers.stop()


def _extract(batch: Sequence[tuple[_Clip, Piece]], extractor: Extractor) -> None:
    """Put a batch through the extractor; when that fails, each piece by itself, to find whose fault it is."""
    try:
        features = extractor.features([piece for _, piece in batch])
    except Exception as error:  # a bug or a lack of memory that one clip meets must not cost the others
        if len(batch) > 1:
            for one in batch:
                _extract([one], extractor)
            return
        clip, _ = batch[0]
        clip.error, clip.n_waiting = as_slt_error(error), clip.n_waiting - 1
        return
    for (clip, piece), rows in zip(batch, features, strict=True):
        clip.done.append(rows)
        clip.n_waiting -= 1
        clip.n_frames += piece.n_frames
        clip.seconds += piece.seconds


class _Readers:
    """Threads that cut clips into pieces, several clips at once, and wait when nobody takes them."""

    def __init__(self, jobs: Iterable[Job], extractor: Extractor, n_workers: int) -> None:
        self._jobs = iter(jobs)
        self._extractor = extractor
        self._taking = threading.Lock()
        self._parts: queue.Queue[tuple[_Clip, _Part]] = queue.Queue(maxsize=2 * extractor.at_once)
        self._halt = threading.Event()
        # Daemons: a process that was asked to leave need not wait for the end of a film.
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(n_workers)]
        for thread in self._threads:
            thread.start()

    @property
    def finished(self) -> bool:
        """True once every clip has ended and everything was taken."""
        return not any(thread.is_alive() for thread in self._threads) and self._parts.empty()

    def take(self, *, wait: bool) -> tuple[_Clip, _Part] | None:
        """Return the next part of a clip; None: there is none now, nor, if asked to wait, a moment later."""
        with suppress(queue.Empty):
            return self._parts.get(timeout=WAIT_S) if wait else self._parts.get_nowait()
        return None

    def stop(self) -> None:
        """Let the threads end at their next piece."""
        self._halt.set()
        for thread in self._threads:
            thread.join(timeout=1)

    def _read(self) -> None:
        while not self._halt.is_set():
            with self._taking:
                job = next(self._jobs, None)
            if job is None:
                return
            clip = _Clip(job)
            self._put(clip, self._pieces(clip))

    def _pieces(self, clip: _Clip) -> SltError | None:
        """Put all pieces of a clip; return why that failed."""
        n_pieces = 0
        try:
            with closing(self._extractor.pieces(clip.job, clip.notes)) as pieces:
                for piece in pieces:
                    n_pieces += 1
                    if not self._put(clip, piece):
                        break
        except Exception as error:  # a bug that one clip meets must not cost the others; it is told, not hidden
            return as_slt_error(error)
        return None if n_pieces else SltError(f"nothing came of {clip.job.id}")

    def _put(self, clip: _Clip, part: _Part) -> bool:
        """Wait for room for a part; return False when all is to end."""
        while not self._halt.is_set():
            with suppress(queue.Full):
                self._parts.put((clip, part), timeout=WAIT_S)
                return True
        return False
