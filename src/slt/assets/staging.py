"""Write a bundle in a hidden folder and publish it when it is complete."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slt.assets.store import SHIPPED
from slt.core.errors import SltError, UserError
from slt.core.files import publish_folder
from slt.core.home import slt_home

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@contextmanager
def stage_bundle(name: str, *, n_bytes: int) -> Iterator[Path]:
    """Provide an empty folder that becomes the bundle ``SLT_HOME/bundles/NAME`` when the block ends without an error.

    Its files must be flushed to the disk by then, as ``slt.core.files.atomic_write`` does. Otherwise it is removed;
    after a kill, by the next draft of any name. There is one draft at a time.

    Args:
        name: of the bundle to be.
        n_bytes: how much is going to be written.

    Raises:
        UserError: a name that is taken or none, a draft under way, or a folder one may not write to.
        SltError: too little space on the disk, or the disk failed.
    """
    if not NAME.fullmatch(name) or name in SHIPPED:
        raise UserError(
            f"a bundle cannot be named {name!r}",
            fix=f"use letters, digits, dots, hyphens and underscores; {' and '.join(SHIPPED)} are the package's own",
        )
    folder = slt_home() / "bundles" / name
    # One level deeper than bundles lie, so that it is never listed; beside them, as they may lie on another disk.
    workshop = folder.parent / ".drafts"
    with _locked(workshop):
        try:
            _clear(workshop)
            _refuse_taken(folder)
            _refuse_full(workshop, n_bytes)
            draft = workshop / name
            draft.mkdir()
            yield draft
            publish_folder(draft, folder)
        finally:
            _clear(workshop)


@contextmanager
def _locked(workshop: Path) -> Iterator[None]:
    """Hold a folder, made if need be, for this process; the system gives it back, even after a kill."""
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        handle = os.open(workshop, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"cannot write to {workshop}: {error.strerror}", fix="set SLT_HOME to a folder of your own"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another process makes a bundle in {workshop}", fix="wait until it is done") from error
        yield
    finally:
        os.close(handle)


def _clear(workshop: Path) -> None:
    for left in workshop.iterdir():
        shutil.rmtree(left, ignore_errors=True)


def _refuse_taken(folder: Path) -> None:
    if os.path.lexists(folder):
        raise UserError(
            f"there is a bundle {folder.name} already, {folder}", fix="choose another name, or remove that folder first"
        )


def _refuse_full(workshop: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(workshop).free
    if free < n_bytes:
        raise SltError(
            f"the bundle needs {n_bytes / 1e9:.1f} GB, and {workshop.parent} has {free / 1e9:.1f} GB left",
            fix="free some space there, or set SLT_HOME to a folder on another disk",
        )
