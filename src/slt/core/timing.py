"""Measure the seconds of each stage."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class StageTimer:
    """Seconds per stage; a stage that runs inside another is not counted twice, so that they add up.

    Attributes:
        seconds: stage → seconds so far, in the order in which the stages first ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the block's time towards ``stage``, less what stages inside it count for themselves."""
        began = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took - self._inside.pop()
            if self._inside:
                self._inside[-1] += took

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yield ``items``, counting the time it takes to make each of them."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
