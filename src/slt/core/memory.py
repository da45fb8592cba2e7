"""Pause garbage collection while many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Do without cyclic garbage collection while the block runs, which would go through all that was made repeatedly.

    Example:
        >>> with without_collection():
        ...     clips = [read(line) for line in lines]
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
