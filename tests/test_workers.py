import os
import signal

import pytest

from slt.workers import workers


def test_results_come_back_in_order():
    with workers(3) as pool:
        assert list(pool.imap(abs, [-1, 2, -3])) == [1, 2, 3]


def test_an_error_in_a_worker_is_raised_here():
    with workers(1) as pool, pytest.raises(TypeError, match="bad operand type"):
        list(pool.imap(abs, ["x"]))


def test_workers_leave_interrupts_to_their_parent():
    with workers(1) as pool:
        assert pool.apply(signal.getsignal, (signal.SIGINT,)) == signal.SIG_IGN


def test_there_are_no_more_workers_than_jobs():
    with workers(1) as pool:
        assert {pool.apply(os.getpid) for _ in range(4)} != {os.getpid()}
        assert len({pool.apply(os.getpid) for _ in range(4)}) == 1
