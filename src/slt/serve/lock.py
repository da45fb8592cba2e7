"""Only one server may use a folder at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import cannot_write

LOCK = ".serving"


@contextmanager
def only_server(data: Path) -> Iterator[None]:
    """Hold a server's folder while the block runs; the system lets go when the process dies, however it dies.

    Raises:
        UserError: another server holds it.
        SltError: it cannot be written.
    """
    path = data / LOCK
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another slt serve uses {data}", fix="end it, or give this one a folder of its own: --data DIR"
            ) from error
        yield
    finally:
        os.close(descriptor)
