from __future__ import annotations

import pytest

from slt.core import timing
from slt.core.timing import StageTimer


@pytest.fixture
def clock(monkeypatch):
    """A timer whose time is ``clock.now``."""
    watch = StageTimer()
    watch.now = 0.0
    monkeypatch.setattr(timing.time, "perf_counter", lambda: watch.now)
    return watch


def test_stages_inside_others_are_counted_once(clock):
    with clock("outer"):
        clock.now += 1
        with clock("inner"):
            clock.now += 10
        clock.now += 2
        with clock("inner"):
            clock.now += 20
    assert clock.seconds == {"inner": 30, "outer": 3}


def test_making_items_is_counted_and_using_them_is_not(clock):
    def items():
        for item in "ab":
            clock.now += 5
            yield item

    with clock("use"):
        for _ in clock.each("make", items()):
            clock.now += 1
    assert clock.seconds == {"make": 10, "use": 2}


def test_a_stage_that_fails_is_counted(clock):
    def fail():
        clock.now += 4
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"), clock("stage"):
        fail()
    assert clock.seconds == {"stage": 4}
