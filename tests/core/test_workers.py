import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slt.core.errors import SltError
from slt.core.workers import workers


def test_results_come_back_in_order():
    with workers(3) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_an_error_in_a_worker_is_raised_here():
    with workers(1) as pool, pytest.raises(TypeError, match="bad operand type"):
        list(pool.map(abs, ["x"]))


def test_workers_leave_interrupts_to_their_parent():
    with workers(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_there_are_no_more_workers_than_jobs():
    with workers(1) as pool:
        seen = {pool.submit(os.getpid).result() for _ in range(4)}
    assert len(seen) == 1
    assert seen != {os.getpid()}


def test_a_worker_that_is_killed_is_told_and_not_waited_for():
    with pytest.raises(SltError, match="a worker process was killed"), workers(1) as pool:
        list(pool.map(os._exit, [9]))


def test_an_interrupt_waits_for_no_worker():
    def interrupted():
        with workers(1) as pool:
            pool.submit(abs, 1).result()
            pool.submit(time.sleep, 60)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_worker_does_not_outlive_a_parent_that_was_killed():
    code = """
import os, time
from slt.core.workers import workers
if __name__ == "__main__":
    with workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 60).result()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
