"""Generate items on a background thread, ahead of their use."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")
_END = object()
_PATIENCE_S = 0.1


class _Failed:
    """What the thread met, for whoever waits for its items."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """Yield items in order while a thread makes the next ones, at most ``depth`` in advance.

    What is raised while an item is made is raised where the item would have come. The thread ends, and ``items`` is
    closed, with this generator.

    Args:
        items: made on the thread alone.
        depth: how many may wait to be taken.
    """
    waiting: Queue[object] = Queue(depth)
    left = threading.Event()
    # A daemon: an interrupted command need not wait for a disk that is silent.
    thread = threading.Thread(target=_make, args=(items, waiting, left), daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item  # type: ignore[misc]  # whatever else is in the queue came from items
    finally:
        left.set()
        thread.join()


def _make(items: Generator[T, None, None], waiting: Queue[object], left: threading.Event) -> None:
    """Put items into the queue, then their end or what stopped them, until nobody takes them any more."""
    try:
        with closing(items):
            for item in items:
                _put(item, waiting, left)
                if left.is_set():
                    return
        _put(_END, waiting, left)
    except BaseException as error:  # raised again by who takes the items
        _put(_Failed(error), waiting, left)


def _put(item: object, waiting: Queue[object], left: threading.Event) -> None:
    while not left.is_set():
        try:
            waiting.put(item, timeout=_PATIENCE_S)
        except Full:
            continue
        return
