"""Temporary names of files and folders being written, and the removal of those that killed processes left behind."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shutil
import socket
import threading
import time
import zlib
from pathlib import Path

PART = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-\d+\.part(\.[^.]*)?")
FOREIGN_AGE_S = 7 * 24 * 3600
"""Age at which a file of another machine, whose processes cannot be seen from here, counts as left behind."""

NAMESPACE = "/proc/self/ns/pid"

_numbers = itertools.count()
_own: set[Path] = set()
_writing = threading.Lock()
_swept: set[Path] = set()


def temporary(target: Path) -> Path:
    """Return a new hidden name beside ``target``, with its suffix; the caller ends with ``release``.

    The first call in a folder removes what killed processes left there.
    """
    if target.parent not in _swept:
        _swept.add(target.parent)
        remove_leftovers(target.parent)
    mark = f"{_machine()}-{os.getpid()}-{next(_numbers)}"
    path = target.with_name(f".{target.stem[:100]}.{mark}.part{target.suffix}")
    with _writing:
        _own.add(path)
    return path


def release(path: Path) -> None:
    """Remove a file or folder of ``temporary`` unless it was renamed."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _own.discard(path)


def abandon_all() -> None:
    """Remove all that this process is writing, and let it begin nothing more; for a process about to exit."""
    _writing.acquire()
    for path in list(_own):
        release(path)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of processes that no longer run from ``folder``."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            found = PART.fullmatch(path.name)
            if found and _is_dead(path, found["machine"], int(found["pid"])):
                release(path)


def _is_dead(path: Path, machine: str, pid: int) -> bool:
    if machine != _machine():
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > FOREIGN_AGE_S
        return False
    if pid == os.getpid():
        return path.name not in {own.name for own in _own}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


@functools.cache
def _machine() -> str:
    """Return a mark of this machine and its process numbers: those of a container are its own."""
    with contextlib.suppress(OSError):
        return f"{zlib.crc32(f'{socket.gethostname()} {os.stat(NAMESPACE).st_ino}'.encode()):08x}"
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"
