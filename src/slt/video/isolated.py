"""Decode a video file in a process of its own, with limits, for files that come from strangers."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import resource
import signal
import struct
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np

from slt.core.errors import SltError, UserError
from slt.video.base import Frame, Video, VideoInfo
from slt.video.file import open_file

HEAD = struct.Struct("<dII")
"""Before each frame: its time in seconds, height and width in pixels."""

MOST_FILES = 64
NO_NEW_PRIVILEGES, DIE_WITH_PARENT = 38, 1  # prctl
NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000  # unshare
# Landlock: system calls, and the rights of its first version.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EVERY_RIGHT, READ_FILE, READ_FOLDER = (1 << 13) - 1, 1 << 2, 1 << 3

_forkserver = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class DecoderLimits:
    """What one decoding process may take.

    Attributes:
        memory_bytes: address space, shared libraries included.
        cpu_s: seconds of one core.
    """

    memory_bytes: int = 6_000_000_000
    cpu_s: int = 7200


def prepare_decoders() -> None:
    """Start the process that decoders are forked from; call it before other threads run, once per process."""
    _forkserver.set_forkserver_preload(["av", "slt.video.file", __name__])
    from multiprocessing.forkserver import ensure_running

    ensure_running()


def open_isolated(path: Path, limits: DecoderLimits) -> Video:
    """Open a video file as ``open_file`` does; this process itself reads nothing of it.

    A decoder writes no file and ends with this process. Where the system allows it, it has no network, and reads
    nothing but this file and the programs it is made of.

    Raises:
        UserError: as ``open_file``; or decoding it takes more than the limits, or crashes the decoder.
    """
    with _decoder(path, limits, None) as decoder:
        facts = _facts(decoder, path)
    info = VideoInfo(
        path=path, fps=facts["fps"], n_frames=facts["n_frames"], height=facts["height"], width=facts["width"]
    )
    return IsolatedVideo(info, facts["warnings"], limits)


class IsolatedVideo(Video):
    """A video file that other processes decode, one for each time that it is read.

    Args:
        info: what is known of it.
        warnings: what its reader should know already.
        limits: what each process may take.
    """

    def __init__(self, info: VideoInfo, warnings: Iterable[str], limits: DecoderLimits) -> None:
        super().__init__(info, warnings)
        self._limits = limits

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """See ``FileVideo``."""
        yield from self._read(0.0)

    def frames_from(self, start_s: float) -> Generator[tuple[float, Frame], None, None]:
        """See ``FileVideo``."""
        yield from self._read(start_s)

    def _read(self, start_s: float) -> Generator[tuple[float, Frame], None, None]:
        with _decoder(self.info.path, self._limits, start_s) as decoder:
            while head := _receive(decoder, self.info.path):
                if len(head) != HEAD.size:
                    break
                time, height, width = HEAD.unpack(head)
                if (height, width) != (self.info.height, self.info.width):
                    raise _crashed(self.info.path, "it sent a frame of another size")
                frame = np.empty((height, width, 3), np.uint8)
                with _ends_are_errors(self.info.path):
                    decoder.recv_bytes_into(frame.data.cast("B"))
                yield time, frame
            for message in _parsed(head, self.info.path)["warnings"]:
                self.warn(message)


@contextmanager
def _decoder(path: Path, limits: DecoderLimits, start_s: float | None) -> Iterator[Connection]:
    """Start a process that decodes ``path``, and end it with the block."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process: ForkServerProcess = _forkserver.Process(
        target=_decode, args=(theirs, str(path), limits, start_s), daemon=True
    )
    with closing(ours):
        with closing(theirs):
            process.start()
        try:
            yield ours
        finally:
            process.kill()
            process.join()
            process.close()


def _facts(decoder: Connection, path: Path) -> dict[str, Any]:
    return _parsed(_receive(decoder, path), path)


def _parsed(message: bytes, path: Path) -> dict[str, Any]:
    """Return what a decoder says; nothing from it is ever unpickled."""
    try:
        said: dict[str, Any] = json.loads(message)
    except ValueError as error:
        raise _crashed(path, "its answer makes no sense") from error
    if "error" in said:
        kind = UserError if said["is_user_error"] else SltError
        raise kind(said["error"], fix=said["fix"])
    return said


def _receive(decoder: Connection, path: Path) -> bytes:
    with _ends_are_errors(path):
        return decoder.recv_bytes(1_000_000)
    raise AssertionError  # the block above returns or raises


@contextmanager
def _ends_are_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise _crashed(path, "it ended without an answer") from error


def _crashed(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: decoding it failed in the decoder's own process ({why}): the file is damaged, or too large to decode",
        fix="convert it first: ffmpeg -i IN -vf scale=1280:-2 OUT.mp4",
    )


def _decode(connection: Connection, path: str, limits: DecoderLimits, start_s: float | None) -> None:
    """Decode a file for another process; with no ``start_s`` say only what is known of it."""
    _confine(limits, path)
    try:
        video = open_file(Path(path))
        info = video.info
        if start_s is not None:
            with closing(video.frames_from(start_s) if start_s > 0 else video.timed_frames()) as timed:
                for time, frame in timed:
                    connection.send_bytes(HEAD.pack(time, *frame.shape[:2]))
                    connection.send_bytes(frame.data.cast("B"))
        facts = {"fps": info.fps, "n_frames": info.n_frames, "height": info.height, "width": info.width}
        _say(connection, facts | {"warnings": video.warnings})
    except BrokenPipeError:
        pass  # nobody wants the rest
    except SltError as error:
        user = isinstance(error, UserError)
        _say(connection, {"error": error.message, "fix": error.fix, "is_user_error": user})
    except MemoryError:
        most = limits.memory_bytes / 1e9
        message = f"{path}: decoding it takes more than {most:.1f} GB of memory"
        _say(connection, {"error": message, "fix": "make it smaller first", "is_user_error": True})
    finally:
        os._exit(0)  # no handlers of the process it was forked from


def _say(connection: Connection, content: dict[str, Any]) -> None:
    with suppress(OSError):
        # Longer than a frame's head, so that it cannot be taken for one.
        connection.send_bytes(json.dumps(content).encode().ljust(HEAD.size + 1))


def _confine(limits: DecoderLimits, path: str) -> None:
    """Take from this process what decoding does not need."""
    libc = ctypes.CDLL(None)
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.unshare(NEW_USER_AND_NETWORK)  # not every system lets a user do that
    _read_only(libc, [path, sys.prefix, sys.base_prefix, *sys.path, "/usr/lib", "/lib64", "/dev/urandom"])
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _read_only(libc: ctypes.CDLL, paths: Iterable[str]) -> None:
    """Let this process read these files and folders and touch no other; systems without Landlock let it be.

    Reference: https://docs.kernel.org/userspace-api/landlock.html
    """
    every = struct.pack("=Q", EVERY_RIGHT)
    rules = libc.syscall(CREATE_RULESET, every, len(every), 0)
    if rules < 0:
        return
    for path in filter(os.path.exists, paths):
        right = READ_FILE | (READ_FOLDER if os.path.isdir(path) else 0)
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", right, place), 0)
        os.close(place)
    libc.syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)
