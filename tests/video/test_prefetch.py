from __future__ import annotations

import threading
import time

import pytest

from slt.video.prefetch import prefetch


def test_items_come_in_order_from_another_thread():
    made_on = []

    def items():
        for number in range(50):
            made_on.append(threading.current_thread())
            yield number

    assert list(prefetch(items(), 3)) == list(range(50))
    assert set(made_on).isdisjoint({threading.current_thread()})


def test_no_more_than_asked_for_are_made_in_advance():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    ahead = prefetch(items(), 4)
    next(ahead)
    time.sleep(0.1)
    assert 5 <= len(made) <= 6
    ahead.close()


def test_what_goes_wrong_comes_where_the_item_would_have_come():
    def items():
        yield 1
        raise KeyError("broken")

    ahead = prefetch(items(), 10)
    assert next(ahead) == 1
    with pytest.raises(KeyError, match="broken"):
        next(ahead)


def test_whoever_leaves_early_leaves_no_thread_and_nothing_open():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    before = threading.active_count()
    ahead = prefetch(items(), 2)
    next(ahead)
    ahead.close()
    assert closed == [True]
    assert threading.active_count() == before
