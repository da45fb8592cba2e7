"""Explain operating-system errors about a path."""

from __future__ import annotations

import errno
from pathlib import Path

from slt.core.errors import SltError, UserError


def explain_os_error(path: Path, error: OSError | ValueError) -> SltError:
    """Turn an operating-system error about ``path`` into one that says what to do."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(f"{path} does not exist", fix=_nearest_parent(path))
    if isinstance(error, PermissionError):
        return UserError(f"{path} may not be read: permission denied", fix="give yourself the right to read it")
    if isinstance(error, ValueError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return UserError(f"{str(path)!r} is no file's name: {error}", fix="give the path of a video")
    return SltError(f"{path} could not be read: {error.strerror}", fix="look at the disk or the network share it is on")


def _nearest_parent(path: Path) -> str:
    """Describe where a missing path leaves the folders that exist."""
    for parent in path.absolute().parents:
        try:
            if parent.is_dir():
                return f"{parent} exists: look there for the right name"
        except OSError:
            continue
    return "give the path of a video"
