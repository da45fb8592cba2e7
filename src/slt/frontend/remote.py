"""Read clips in processes of their own: threads of one would wait for one another, and for the one that feeds a GPU.

Each reading thread of the engine has one such process. Pixels come through a pipe straight into an array of the
engine's; a process that dies costs the clip it read, and another takes its place.
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from slt.core.errors import SltError, as_slt_error
from slt.core.timing import StageTimer
from slt.frontend.base import FrameInput, Frontend, Settings
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.usage import DECODE, IDLE, SIGNER
from slt.video.base import Video, VideoInfo
from slt.video.crop import SignerBox

GRACE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What is known of a clip once it is open."""

    info: VideoInfo
    signer: SignerBox


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """What is known of a clip at its end.

    Attributes:
        n_frames: frames that were read.
        warnings: about its video.
        seconds: of each stage of reading.
        error: why it could not be read to its end.
    """

    n_frames: int = 0
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float]
    error: SltError | None = None


class _ElsewhereVideo(Video):
    """A video that another process reads."""

    def timed_frames(self) -> Generator[Any, None, None]:
        """See ``Video``.

        Raises:
            SltError: always.
        """
        raise SltError(f"{self.info.path} is read by another process")


def can_go_elsewhere(frontend: Frontend) -> bool:
    """Return whether another process can import an extractor's class: not one of a script or a notebook."""
    return type(frontend).__module__ != "__main__"


class RemoteReader:
    """Opens clips and cuts them into inputs, in a process of its own; for one thread.

    Args:
        frontend: the extractor, whose class and settings go there; its model is not loaded there.
        cache_bytes: as for ``Frontend.open``.
    """

    def __init__(self, frontend: Frontend, cache_bytes: int) -> None:
        self._work = (type(frontend), replace(frontend.settings, device="cpu"), cache_bytes)
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def open(self, clip: ClipSource) -> OpenClip:
        """Open a clip; see ``Frontend.open``.

        Raises:
            SltError: as there; or the process died.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send(clip)
            told = pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(told, _Ended):
            raise told.error or SltError(f"{clip.id} could not be opened")
        return OpenClip(_ElsewhereVideo(told.info), told.signer)

    def inputs(self, opened: OpenClip) -> Generator[FrameInput, None, None]:
        """Yield the inputs of the clip that was opened last; see ``Frontend.inputs``.

        Raises:
            SltError: as there; or the process died.
        """
        pipe = self._pipe or self._start()
        told: Any = None
        try:
            while not isinstance(told := pipe.recv(), _Ended):
                yield _received(pipe, *told)
        except (EOFError, OSError) as error:
            raise self._died() from error
        finally:
            if not isinstance(told, _Ended):  # the engine wants no more of this clip, but the process is at it still
                self.close()
        opened.n_frames = told.n_frames
        for warning in told.warnings:
            opened.video.warn(warning)
        for stage, took in told.seconds.items():
            opened.clock.seconds[stage] = opened.clock.seconds.get(stage, 0.0) + took
        if told.error:
            raise told.error

    def interrupt(self) -> None:
        """Kill the process, so that a thread which waits for it goes on; the only method for another thread."""
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End the process."""
        if self._pipe and self._process:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
        self._pipe = self._process = None

    def _start(self) -> Connection:
        here, there = multiprocessing.Pipe()
        # Not multiprocessing's own processes: these would run the main module of whoever uses slt.
        # The signals come first: to import the rest takes seconds.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from slt.core.signals import outlive_signals; outlive_signals(); "
            f"from slt.frontend.remote import main; main({there.fileno()})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,  # an interrupt is for the engine; this one ends with its pipe
        )
        there.close()
        self._pipe = here
        here.send(self._work)
        return here

    def _died(self) -> SltError:
        code = None
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(GRACE_S)
        self.close()
        said = f"the process that read the clip ended with {'no code' if code is None else code}"
        return SltError(said, fix="if memory is short, give fewer --workers")


def main(descriptor: int) -> None:
    """Read one clip after another, as the pipe names them, until it is closed."""
    pipe = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        kind, settings, cache_bytes = pipe.recv()
        frontend = _made(kind, settings)
        while True:
            _read(pipe, frontend, pipe.recv(), cache_bytes)


def _made(kind: Any, settings: Settings) -> Frontend:
    frontend: Frontend = kind(settings)
    return frontend


def _read(pipe: Connection, frontend: Frontend, clip: ClipSource, cache_bytes: int) -> None:
    clock, opened, error = StageTimer(), None, None
    try:
        with clock(SIGNER):
            opened = frontend.open(clip, cache_bytes=cache_bytes)
        opened.clock = clock
        pipe.send(_Opened(info=opened.video.info, signer=opened.signer))
        for one in clock.each(DECODE, frontend.inputs(opened)):
            with clock(IDLE):
                _send(pipe, one)
    except ConnectionError:
        raise
    except Exception as failed:  # told with its clip; it must not cost the others
        error = as_slt_error(failed)
    ended = _Ended(seconds=clock.seconds, error=error)
    if opened:
        ended = replace(ended, n_frames=opened.n_frames, warnings=tuple(opened.video.warnings))
    pipe.send(ended)


def _send(pipe: Connection, one: FrameInput) -> None:
    """Send an input: its description, then the bytes of each of its arrays."""
    buffers: list[pickle.PickleBuffer] = []
    described = pickle.dumps(one, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    pipe.send((described, [view.nbytes for view in views]))
    for view in views:
        if view.nbytes:
            pipe.send_bytes(view)


def _received(pipe: Connection, described: bytes, sizes: list[int]) -> FrameInput:
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if buffer.nbytes:
            pipe.recv_bytes_into(buffer.data)
    one: FrameInput = pickle.loads(described, buffers=buffers)
    return one
