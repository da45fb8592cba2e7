"""Worker processes for independent items."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

from slt.core.errors import SltError
from slt.core.leftovers import abandon_all


@contextmanager
def workers(n_jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start a process per core, at most one per job; all are gone when the block ends, however it ends.

    They are spawned, not forked: libraries with threads of their own do not survive a fork.

    Raises:
        SltError: one of them was killed from outside.
    """
    pool = ProcessPoolExecutor(
        max(1, min(os.cpu_count() or 1, n_jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )
    try:
        yield pool
    except BaseException as error:
        for process in list((pool._processes or {}).values()):  # nobody waits for what they are at
            process.kill()
        if isinstance(error, BrokenProcessPool):
            raise SltError(
                "a worker process was killed, most likely because memory ran out",
                fix="close other programs, then run the same command again: it goes on where it stopped",
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a worker: it leaves interrupts to the process that started it, and does not outlive that one."""
    # An interrupt reaches every process of the terminal; only the one that was started has something to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])  # ready once the parent is gone, killed or not
        abandon_all()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
