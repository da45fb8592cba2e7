"""Stop a long command by signal or file: it finishes the current item, saves, and exits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from slt.core.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What schedulers send before they take a machine away; SIGINT stays what it is, an interrupt."""

STOP_FILE = "SLT_STOP_FILE"


class StopRequests:
    """Whether this process has been asked to stop."""

    def __init__(self) -> None:
        self._why = ""

    @property
    def requested(self) -> bool:
        """True from the first signal on, or once the file that ``SLT_STOP_FILE`` names exists."""
        path = os.environ.get(STOP_FILE)
        if not self._why and path and Path(path).exists():
            self._why = f"{path} exists"
        return bool(self._why)

    def check(self) -> None:
        """Leave if that was asked for; to be called where everything finished is saved.

        Raises:
            Stopped: it was.
        """
        if self.requested:
            raise Stopped(self._why)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._why = f"{signal.Signals(number).name} came"


def outlive_signals() -> None:
    """Let ``SIGNALS`` pass: for a process that another one ends, and that schedulers signal too.

    By a handler that does nothing: programs that are started from here would inherit a signal that is ignored.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Listen for ``SIGNALS`` and for the stop file while the block runs.

    Python lets only its main thread listen for signals; elsewhere the file alone counts.

    Example:
        >>> with stop_requests() as stop:
        ...     for item in items:
        ...         save(work(item))
        ...         stop.check()
    """
    stop = StopRequests()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop._note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
