"""An exclusive lock on a folder, between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slt.core import log
from slt.core.files import cannot_write

LOCK_NAME = ".lock"
# Some network file systems know no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; it is made when there is none.

    The system itself lets go when the process dies, however it dies, so no lock is ever left behind.

    Raises:
        SltError: the folder cannot be written.
    """
    try:
        descriptor = _acquire(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(folder: Path) -> int:
    path = folder / LOCK_NAME
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # who held it before has just removed the folder
            continue
        try:
            _lock(descriptor, folder)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was held for a folder that is gone


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.say(f"another slt is at work in {folder}: waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warn(f"the file system of {folder} has no locks: do not run another slt on it meanwhile")
