"""Atomic writes: write beside, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from slt.core.errors import OUT_OF_SPACE, SltError, UserError
from slt.core.leftovers import release, temporary

NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}
NOT_ALLOWED |= {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}  # something else is there


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only once it is complete; missing folders are made.

    The block may write to the handle, or to the file ``handle.name``, which lies beside ``path`` and ends alike. When
    it raises, or the process dies, ``path`` stays as it was. A pipe or device is written to as it is.

    Raises:
        SltError: the disk is full, or failed.
        UserError: this user cannot write there.
    """
    target = Path(os.path.realpath(path))  # so that a link stays a link
    part = temporary(target)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with open(target, "wb") as handle:
                yield handle
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            yield handle
        os.chmod(part, mode)  # some writers put a file beside in its place that nobody else may read
        flush_to_disk(part)
        os.replace(part, target)
    except OSError as error:
        # The block may have failed at a file of its own.
        if Path(error.filename or part) not in (part, target, *target.parents):
            raise
        raise cannot_write(path, error) from error
    finally:
        release(part)
    with contextlib.suppress(OSError):  # some network file systems cannot flush a folder; the file itself is safe
        flush_to_disk(target.parent)


def publish_folder(draft: Path, folder: Path) -> None:
    """Give a finished folder its name; its files must be on the disk already, as ``atomic_write`` leaves them.

    Args:
        draft: the folder as it is, on the same file system.
        folder: the name; nothing may be there.

    Raises:
        SltError: the disk failed.
        UserError: there is something of that name, or this user cannot write there.
    """
    try:
        flush_to_disk(draft)
        os.rename(draft, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with contextlib.suppress(OSError):
        flush_to_disk(folder.parent)


def flush_to_disk(path: Path) -> None:
    """Return once what was written to a file, or the names in a folder, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> SltError:
    """Explain a failure to write ``path``."""
    message = f"cannot write {path}: {error.strerror or error}"
    if error.errno in OUT_OF_SPACE:
        return SltError(message, fix="free some space there, or write to another disk")
    if error.errno in NOT_ALLOWED:
        return UserError(message, fix="choose a place that you may write to")
    return SltError(message)
