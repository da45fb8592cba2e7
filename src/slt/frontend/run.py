"""The engine of all extractors: threads decode several clips ahead, one thread computes their features.

FFmpeg, OpenCV, dlib and MediaPipe release Python's lock while they work, so on a CPU threads suffice and no pixel is
copied between processes. A GPU is so fast that what they do under the lock would hold it up: of many clips each thread
has a process that reads for it. The queue between both halves is bounded: memory does not grow with the number or
length of clips.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TypeAlias

from slt.core.device import is_accelerator
from slt.core.errors import SltError, as_slt_error
from slt.core.signals import StopRequests
from slt.core.timing import StageTimer
from slt.frontend.base import FrameInput, Frontend
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.compute import ClipInProgress, Computer, Item
from slt.frontend.remote import RemoteReader, can_go_elsewhere
from slt.frontend.result import ClipFeatures, Outcome, features_of
from slt.frontend.usage import DECODE, IDLE, SIGNER, Usage
from slt.video.cache import CACHE_BYTES

WAIT_S = 0.05
LEAVE_S = 1.0
MAX_WORKERS = 16
FEW_CLIPS = 64
"""Fewer are read sooner by threads: a process takes some seconds to start."""

Opener: TypeAlias = Callable[[], OpenClip]

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a stage or unit, how much of it is done, and how much there is (None: unknown)."""


def clip_features(
    open_clip: Opener,
    frontend: Frontend,
    *,
    n_readings: int = 1,
    clock: StageTimer | None = None,
    progress: Progress | None = None,
) -> ClipFeatures:
    """Compute the features of one clip while it is decoded.

    Args:
        open_clip: opens it; called on the decoding thread.
        frontend: the extractor.
        n_readings: for reranking, how often to read the clip.
        clock: counts the seconds of finding the signer, of waiting for frames, and of computing features.
        progress: called after each batch with the unit, units done and in all.

    Raises:
        UserError: the clip cannot be opened or read to its end.
    """
    clips = [(ClipSource(id="", path=None), open_clip)]
    engine = _Engine(clips, frontend, n_readings=n_readings, clock=clock, full_batches=True)
    with closing(engine.run(progress=progress)) as ready:
        clip = next(ready)
    if clip.error:
        raise clip.error
    return features_of(clip, frontend, n_readings)


def many_clip_features(
    clips: Sequence[ClipSource],
    frontend: Frontend,
    *,
    stop: StopRequests | None = None,
    n_workers: int | None = None,
    processes: bool | None = None,
    usage: Usage | None = None,
) -> Generator[Outcome, None, None]:
    """Compute the features of clips, each as soon as it is ready; a broken clip costs only itself.

    Args:
        clips: where they lie.
        frontend: the extractor.
        stop: asked between batches; clips that are not finished then are dropped.
        n_workers: clips decoded at once; by default as many as there are cores.
        processes: decode each in a process of its own and not in a thread; None: many clips for an accelerator.
        usage: filled with what the time was spent on.
    """
    n_workers = n_workers or min(os.cpu_count() or 1, MAX_WORKERS)
    if processes is None:
        processes = len(clips) >= FEW_CLIPS and needs_processes(frontend)
    cache_bytes = CACHE_BYTES // n_workers
    jobs = ((clip, partial(frontend.open, clip, cache_bytes=cache_bytes)) for clip in clips)
    readers = [RemoteReader(frontend, cache_bytes) for _ in range(n_workers * processes)]
    engine = _Engine(jobs, frontend, n_workers=n_workers, usage=usage, readers=readers)
    with closing(engine.run(stop=stop)) as ready:
        for clip in ready:
            if clip.error:
                yield Outcome(clip=clip.source, error=as_slt_error(clip.error))
            else:
                yield Outcome(clip=clip.source, found=features_of(clip, frontend, 1))


def needs_processes(frontend: Frontend) -> bool:
    """Return whether many clips are to be read by processes: an accelerator computes what these only read.

    An extractor without pixels to send, as that of whole-body points, uses the device itself while it reads.
    """
    return is_accelerator(frontend.device) and frontend.input_bytes > 0 and can_go_elsewhere(frontend)


_Part: TypeAlias = OpenClip | FrameInput | Exception | None
"""A clip was opened, one of its inputs, why it failed, or that it has ended."""


class _Engine:
    """Decoding threads, a bounded queue, and the loop that computes; ``full_batches``: wait until a batch is full."""

    def __init__(
        self,
        jobs: Iterable[tuple[ClipSource, Opener]],
        frontend: Frontend,
        *,
        n_workers: int = 1,
        n_readings: int = 1,
        clock: StageTimer | None = None,
        full_batches: bool = False,
        usage: Usage | None = None,
        readers: Sequence[RemoteReader] = (),
    ) -> None:
        self._jobs = iter(jobs)
        self._frontend = frontend
        self._n_readings = n_readings
        self._clock = clock or StageTimer()
        self._full_batches = full_batches
        self._usage = usage or Usage()
        self._usage.device, self._usage.n_workers = frontend.device.type, n_workers
        self._taking = threading.Lock()
        self._parts: queue.Queue[tuple[ClipInProgress, _Part]] = queue.Queue(maxsize=2 * frontend.batch_size)
        self._halt = threading.Event()
        # Daemons, so that a process that was asked to leave need not wait for a slow disk.
        self._readers = readers
        chosen: Sequence[RemoteReader | None] = readers or [None] * n_workers
        self._threads = [threading.Thread(target=self._decode, args=[one], daemon=True) for one in chosen]

    def run(
        self, *, stop: StopRequests | None = None, progress: Progress | None = None
    ) -> Generator[ClipInProgress, None, None]:
        """Yield each clip once it has ended and its inputs were computed."""
        batch: list[Item] = []
        computer = Computer(self._frontend)
        began = time.perf_counter()
        for thread in self._threads:
            thread.start()
        stage = "signer"
        self._clock.seconds = {"signer": 0.0, "frames": 0.0, "features": 0.0} | self._clock.seconds  # in this order
        try:
            while not (stop and stop.requested):
                touched: list[ClipInProgress] = []
                with self._clock(stage):
                    message = self._take(wait=self._full_batches or not (batch or computer.is_busy))
                if message:
                    clip, part = message
                    stage = "frames"
                    touched.append(clip)
                    _receive(clip, part, batch)
                arrived: list[ClipInProgress] = []
                with self._clock("features"):
                    if batch and self._is_due(len(batch), message):
                        arrived, batch = computer.compute(batch), []
                    if message is None or (self._full_batches and message[0].ended):  # nothing to go on with meanwhile
                        arrived += computer.arrivals()
                if arrived and progress:
                    self._report(arrived[-1], progress)
                touched += arrived
                yield from (clip for clip in dict.fromkeys(touched) if clip.ended and not clip.n_waiting)
                if self._is_over(message, batch, computer):
                    return
        finally:
            self._leave()
            self._usage.device_s, self._usage.took_s = computer.device_s, time.perf_counter() - began
            self._usage.waiting_s = sum(self._clock.seconds.get(stage, 0.0) for stage in ("signer", "frames"))

    def _leave(self) -> None:
        """End the threads; those that still wait after a while, for a slow disk, are left behind."""
        self._halt.set()
        for reader in self._readers:
            reader.interrupt()
        end = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _is_over(self, message: tuple[ClipInProgress, _Part] | None, batch: list[Item], computer: Computer) -> bool:
        alive = any(thread.is_alive() for thread in self._threads)
        return message is None and not alive and self._parts.empty() and not batch and not computer.is_busy

    def _is_due(self, n_inputs: int, message: tuple[ClipInProgress, _Part] | None) -> bool:
        """Return whether a batch is to be computed now; of many clips, what has been decoded need not wait for more."""
        last = message[0].ended if message and self._full_batches else message is None and not self._full_batches
        return last or n_inputs >= self._frontend.batch_size

    def _report(self, clip: ClipInProgress, progress: Progress) -> None:
        if clip.opened:
            total = self._frontend.n_units(clip.opened.video, self._n_readings)
            progress(self._frontend.unit, clip.units, total)

    def _take(self, *, wait: bool) -> tuple[ClipInProgress, _Part] | None:
        """Return the next part of a clip; None: there is none now, nor, if asked to wait, a moment later."""
        with suppress(queue.Empty):
            return self._parts.get(timeout=WAIT_S) if wait else self._parts.get_nowait()
        return None

    def _decode(self, reader: RemoteReader | None) -> None:
        """Decode one clip after another, here or by a process; runs on each thread."""
        clock = StageTimer()
        while not self._halt.is_set():
            with self._taking:
                job = next(self._jobs, None)
            if job is None:
                break
            source, open_clip = job
            clip = ClipInProgress(source)
            self._put(clip, self._decode_clip(clip, open_clip, clock, reader))
        if reader:
            reader.close()
        with self._taking:
            self._usage.add(clock.seconds)

    def _decode_clip(
        self, clip: ClipInProgress, open_clip: Opener, clock: StageTimer, reader: RemoteReader | None
    ) -> Exception | None:
        """Put all inputs of a clip into the queue; return why that failed."""
        n_inputs = 0
        try:
            own = StageTimer() if reader else clock  # a process measures for itself
            with own(SIGNER):
                opened = reader.open(clip.source) if reader else open_clip()
            opened.clock = clock
            self._put(clip, opened)
            read = reader.inputs(opened) if reader else self._frontend.inputs(opened, self._n_readings)
            with closing(read) as inputs:
                for one in own.each(DECODE, inputs):
                    n_inputs += 1
                    with clock(IDLE):
                        if clip.error or not self._put(clip, one):
                            break
        except Exception as error:  # reported with its clip; it must not cost the others
            return error
        return None if n_inputs else SltError(f"no features were computed from {clip.source.id or 'the video'}")

    def _put(self, clip: ClipInProgress, part: _Part) -> bool:
        """Wait for room for a part; return False when the engine is to end."""
        while not self._halt.is_set():
            with suppress(queue.Full):
                self._parts.put((clip, part), timeout=WAIT_S)
                return True
        return False


def _receive(clip: ClipInProgress, part: _Part, batch: list[Item]) -> None:
    """Note a part of a clip; its inputs go into the batch."""
    if isinstance(part, FrameInput):
        clip.n_waiting += 1
        batch.append((clip, part))
    elif isinstance(part, OpenClip):
        clip.opened = part
    else:
        clip.ended, clip.error = True, clip.error or part
