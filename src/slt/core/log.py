"""Messages to stderr, results to stdout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from slt.core.errors import SltError

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_EVERY_S = 10.0
ROOMY = 100  # columns of a terminal
RED, YELLOW, RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"

_shown: RichProgress | None = None
_bars: Bars | None = None


def result(line: str) -> None:
    """Write one line of the command's result to stdout, at once, so that a pipe sees it when it exists.

    Raises:
        OSError: nobody reads the pipe any more, or the disk is full.
    """
    with _bars_out_of_the_way(sys.stdout):
        try:
            print(line, flush=True)
        except OSError:
            # The interpreter would stumble over the unwritten rest once more at its end.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
            raise


def say(message: str) -> None:
    """Write a message to stderr."""
    with _bars_out_of_the_way(sys.stderr):
        print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Write a warning to stderr."""
    say(f"{_coloured('warning:', YELLOW)} {message}")


def fail(error: SltError) -> None:
    """Write an error to stderr and, on a line of its own, how to fix it."""
    say(f"{_coloured('error:', RED)} {error.message}")
    if error.fix:
        say(f"  fix: {error.fix}")


def seconds(value: float) -> str:
    """Write a duration with as many digits as one reads: ``0.04 s``, ``3.2 s``, ``148 s``."""
    digits = 2 if value < 1 else 1 if value < 100 else 0
    return f"{value:.{digits}f} s"


def span(value: float) -> str:
    """Write how long something still takes, roughly: ``40 s``, ``35 min``, ``3.2 h``."""
    return f"{value:.0f} s" if value < 100 else f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:.1f} h"


def size(n_bytes: int) -> str:
    """Write a number of bytes as one reads it: ``0.3 MB``, ``3.47 GB``."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


def _coloured(word: str, colour: str) -> str:
    return f"{colour}{word}{RESET}" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else word


class Pace:
    """How fast something goes, and how long the rest takes; counts from the first call on."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> str:
        """Return the note for ``Bars.update``; what was done by the first call is left out."""
        now = time.monotonic()
        began, first = self._began = self._began or (now, done)
        if done <= first or now <= began:
            return ""
        rate = (done - first) / (now - began)
        return f"{rate:.3g} a second, {span((total - done) / rate)} left"


class Bars:
    """Progress of one or more kinds of things, by name: bars on a terminal, now and then a plain line elsewhere."""

    def __init__(self, drawn: RichProgress | None) -> None:
        self._drawn = drawn
        self._tasks: dict[str, object] = {}
        self._next_line_at = time.monotonic() + PLAIN_EVERY_S

    def update(self, what: str, done: int, total: int | None, note: str = "") -> None:
        """Show that ``done`` of ``total`` (None: unknown) are finished, and a note; a full bar is taken away."""
        if self._drawn is None:
            self._plain(what, done, total, note)
            return
        if what not in self._tasks:
            self._tasks[what] = self._drawn.add_task(what, total=total, note=note)
        self._drawn.update(self._tasks[what], completed=done, total=total, note=note)  # type: ignore[arg-type]
        if done == total:
            self._drawn.remove_task(self._tasks.pop(what))  # type: ignore[arg-type]

    def _plain(self, what: str, done: int, total: int | None, note: str) -> None:
        if done == total or time.monotonic() < self._next_line_at:
            return
        self._next_line_at = time.monotonic() + PLAIN_EVERY_S
        say(f"{what}: {done}" + (f" of {total}" if total is not None else "") + (f", {note}" if note else ""))


@contextmanager
def bars() -> Iterator[Bars]:
    """Show progress while the block runs; what the block prints with `result`, `say` and `warn` stays readable.

    A block within a block shows its progress on the bars of the outer one.
    """
    global _bars
    if _bars is not None:
        yield _bars
        return
    with _drawn() as drawn:
        _bars = Bars(drawn)
        try:
            yield _bars
        finally:
            _bars = None


@contextmanager
def _drawn() -> Iterator[RichProgress | None]:
    """Yield what draws bars on the terminal while the block runs; None where there is none, or one that only prints."""
    global _shown
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(stderr=True)
    whole = Column(no_wrap=True)  # what is short of room takes it from the bar, not from the numbers
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns += [MofNCompleteColumn(table_column=whole)]
    columns += [TimeElapsedColumn(table_column=whole)] if console.width >= ROOMY else []
    columns += [TextColumn("{task.fields[note]}")]
    # rich would otherwise send our stdout to stderr for as long as a bar is shown.
    drawn = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
    with drawn:
        _shown = drawn
        try:
            yield drawn
        finally:
            _shown = None


@contextmanager
def _bars_out_of_the_way(stream: TextIO) -> Iterator[None]:
    """Take the bars off the terminal while ``stream``, when it is one too, is written to."""
    if _shown is None or not stream.isatty():
        yield
        return
    _shown.stop()
    try:
        yield
    finally:
        _shown.start()
