"""The engine of all extractors: threads decode several clips ahead, one thread computes their features.

FFmpeg, OpenCV, dlib and MediaPipe release Python's lock while they work, so threads suffice and no pixel is copied
between processes. The queue between both halves is bounded: memory does not grow with the number or length of clips.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, cast

import torch

from slt.core.errors import SltError, as_slt_error
from slt.core.signals import StopRequests
from slt.core.timing import StageTimer
from slt.frontend.base import ClipSource, FrameInput, Frontend, OpenClip, Streams
from slt.video.cache import CACHE_BYTES
from slt.video.crop import SignerBox
from slt.video.windows import Window

WAIT_S = 0.05
MAX_WORKERS = 16

Opener: TypeAlias = Callable[[], OpenClip]

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a stage or unit, how much of it is done, and how much there is (None: unknown)."""


@dataclass(frozen=True, kw_only=True)
class ClipFeatures:
    """Features of one clip.

    Attributes:
        readings: the features; for reranking, of several readings, each beginning one step later. The first is whole.
        windows: of the first reading; none when the extractor takes single frames.
        n_frames: frames that were read.
        fps: their rate.
        signer: position of the signer in the picture.
        warnings: what a reader of the results should know.
        is_empty: nothing was detected in any frame.
    """

    readings: Sequence[Streams]
    windows: Sequence[Window] = ()
    n_frames: int
    fps: float
    signer: SignerBox
    warnings: Sequence[str] = ()
    is_empty: bool = False

    @property
    def seconds(self) -> float:
        """Duration of the frames that were read."""
        return self.n_frames / self.fps


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one clip of many.

    Attributes:
        clip: which.
        found: its features; None: it failed.
        error: why it failed.
    """

    clip: ClipSource
    found: ClipFeatures | None = None
    error: SltError | None = None


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
    return clip.found(frontend, n_readings)


def many_clip_features(
    clips: Iterable[ClipSource], frontend: Frontend, *, stop: StopRequests | None = None, n_workers: int | None = None
) -> Generator[Outcome, None, None]:
    """Compute the features of clips, each as soon as it is ready; a broken clip costs only itself.

    Args:
        clips: where they lie.
        frontend: the extractor.
        stop: asked between batches; clips that are not finished then are dropped.
        n_workers: clips decoded at once; by default as many as there are cores.
    """
    n_workers = n_workers or min(os.cpu_count() or 1, MAX_WORKERS)
    cache_bytes = CACHE_BYTES // n_workers
    jobs = ((clip, partial(frontend.open, clip, cache_bytes=cache_bytes)) for clip in clips)
    with closing(_Engine(jobs, frontend, n_workers=n_workers).run(stop=stop)) as ready:
        for clip in ready:
            if clip.error:
                yield Outcome(clip=clip.source, error=as_slt_error(clip.error))
            else:
                yield Outcome(clip=clip.source, found=clip.found(frontend, 1))


@dataclass(eq=False)
class _Clip:
    """A clip being processed.

    Attributes:
        done: reading → features of the inputs that were computed, in order.
        n_waiting: inputs that were decoded and not yet computed.
        ended: no more inputs will come.
    """

    source: ClipSource
    opened: OpenClip | None = None
    done: dict[int, list[Streams]] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    units: int = 0
    n_waiting: int = 0
    ended: bool = False
    error: Exception | None = None

    def add(self, one: FrameInput, features: Streams) -> None:
        """Add the features of an input."""
        self.done.setdefault(one.reading, []).append(features)
        if one.window is not None and one.reading == 0:
            self.windows.append(one.window)
        self.units += one.units

    def found(self, frontend: Frontend, n_readings: int) -> ClipFeatures:
        """Return its features, once it has ended without an error."""
        opened = cast(OpenClip, self.opened)  # it was opened before its first input
        video, n_frames = opened.video, opened.n_frames
        readings: Sequence[Streams] = [
            tuple(torch.cat(parts) for parts in zip(*self.done[reading], strict=True)) for reading in sorted(self.done)
        ]
        return ClipFeatures(
            readings=readings if n_readings == 1 else frontend.later_readings(readings, n_readings, n_frames),
            windows=self.windows,
            n_frames=n_frames,
            fps=video.info.fps,
            signer=opened.signer,
            warnings=[*video.warnings, *filter(None, [opened.signer.note])],
            is_empty=frontend.is_empty(readings[0]),
        )


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
    ) -> None:
        self._jobs = iter(jobs)
        self._frontend = frontend
        self._n_readings = n_readings
        self._clock = clock or StageTimer()
        self._full_batches = full_batches
        self._taking = threading.Lock()
        self._parts: queue.Queue[tuple[_Clip, _Part]] = queue.Queue(maxsize=2 * frontend.batch_size)
        self._halt = threading.Event()
        # Daemons, so that a process that was asked to leave need not wait for a slow disk.
        self._threads = [threading.Thread(target=self._decode, daemon=True) for _ in range(n_workers)]

    def run(
        self, *, stop: StopRequests | None = None, progress: Progress | None = None
    ) -> Generator[_Clip, None, None]:
        """Yield each clip once it has ended and its inputs were computed."""
        batch: list[tuple[_Clip, FrameInput]] = []
        for thread in self._threads:
            thread.start()
        stage = "signer"
        try:
            while not (stop and stop.requested):
                touched: list[_Clip] = []
                with self._clock(stage):
                    message = self._take(wait=self._full_batches or not batch)
                if message:
                    clip, part = message
                    stage = "frames"
                    touched.append(clip)
                    _receive(clip, part, batch)
                if batch and self._is_due(len(batch), message):
                    with self._clock("features"):
                        _compute(batch, self._frontend)
                    touched += [clip for clip, _ in batch]
                    batch = []
                    if progress:
                        self._report(touched[-1], progress)
                yield from (clip for clip in dict.fromkeys(touched) if clip.ended and not clip.n_waiting)
                if message is None and not any(thread.is_alive() for thread in self._threads) and self._parts.empty():
                    return
        finally:
            self._halt.set()
            for thread in self._threads:
                thread.join(timeout=1)

    def _is_due(self, n_inputs: int, message: tuple[_Clip, _Part] | None) -> bool:
        """Return whether a batch is to be computed now; of many clips, what has been decoded need not wait for more."""
        last = message[0].ended if message and self._full_batches else message is None and not self._full_batches
        return last or n_inputs >= self._frontend.batch_size

    def _report(self, clip: _Clip, progress: Progress) -> None:
        if clip.opened:
            total = self._frontend.n_units(clip.opened.video, self._n_readings)
            progress(self._frontend.unit, clip.units, total)

    def _take(self, *, wait: bool) -> tuple[_Clip, _Part] | None:
        """Return the next part of a clip; None: there is none now, nor, if asked to wait, a moment later."""
        with suppress(queue.Empty):
            return self._parts.get(timeout=WAIT_S) if wait else self._parts.get_nowait()
        return None

    def _decode(self) -> None:
        """Decode one clip after another; runs on each thread."""
        while not self._halt.is_set():
            with self._taking:
                job = next(self._jobs, None)
            if job is None:
                return
            source, open_clip = job
            clip = _Clip(source)
            self._put(clip, self._decode_clip(clip, open_clip))

    def _decode_clip(self, clip: _Clip, open_clip: Opener) -> Exception | None:
        """Put all inputs of a clip into the queue; return why that failed."""
        n_inputs = 0
        try:
            opened = open_clip()
            self._put(clip, opened)
            with closing(self._frontend.inputs(opened, self._n_readings)) as inputs:
                for one in inputs:
                    n_inputs += 1
                    if clip.error or not self._put(clip, one):
                        break
        except Exception as error:  # reported with its clip; it must not cost the others
            return error
        return None if n_inputs else SltError(f"no features were computed from {clip.source.id or 'the video'}")

    def _put(self, clip: _Clip, part: _Part) -> bool:
        """Wait for room for a part; return False when the engine is to end."""
        while not self._halt.is_set():
            with suppress(queue.Full):
                self._parts.put((clip, part), timeout=WAIT_S)
                return True
        return False


def _receive(clip: _Clip, part: _Part, batch: list[tuple[_Clip, FrameInput]]) -> None:
    """Note a part of a clip; its inputs go into the batch."""
    if isinstance(part, FrameInput):
        clip.n_waiting += 1
        batch.append((clip, part))
    elif isinstance(part, OpenClip):
        clip.opened = part
    else:
        clip.ended, clip.error = True, clip.error or part


def _compute(batch: Sequence[tuple[_Clip, FrameInput]], frontend: Frontend) -> None:
    """Compute the features of a batch; when that fails, of each input by itself, to find which clip is at fault."""
    try:
        with torch.inference_mode():
            features = frontend.features([one for _, one in batch])
    except Exception as error:  # reported with its clip; it must not cost the others
        if len(batch) > 1:
            for alone in batch:
                _compute([alone], frontend)
            return
        clip, _ = batch[0]
        clip.error, clip.n_waiting = error, clip.n_waiting - 1
        return
    for (clip, one), found in zip(batch, features, strict=True):
        clip.add(one, found)
        clip.n_waiting -= 1
