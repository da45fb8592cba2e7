"""Worker processes for work that is one item after another."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool


@contextmanager
def workers(n_jobs: int) -> Iterator[Pool]:
    """Start a process per core, at most one per job; all are gone when the block ends, however it ends.

    They are spawned, not forked: libraries with threads of their own do not survive a fork.
    """
    n_processes = max(1, min(os.cpu_count() or 1, n_jobs))
    # An interrupt reaches every process of the terminal; only the one that was started has something to say about it.
    ignore_interrupts = (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(n_processes, signal.signal, ignore_interrupts) as pool:
        yield pool
