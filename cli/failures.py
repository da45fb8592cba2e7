"""Items that fail: the error that a command raises at its end, and the loop that goes on until there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from slt.core import log
from slt.core.errors import SltError

SHOWN = 20


class ItemsFailed(SltError):
    """Some items failed; each is listed with its reason.

    The exit code is 3 when something was done all the same; when nothing was, it is 2 if every failure is the
    user's to mend, and 1 otherwise.

    Args:
        failures: (item, why it failed); not empty.
        total: how many items there were.
        what: the plural noun for the items ("videos").
        all_in: a file that lists all failures; with it, no more than ``SHOWN`` reasons are told here.
    """

    def __init__(
        self, failures: Sequence[tuple[str, SltError]], *, total: int, what: str, all_in: Path | None = None
    ) -> None:
        reasons = list(dict.fromkeys(_reason(item, error) for item, error in failures))
        if all_in is not None and len(reasons) > SHOWN:
            reasons[SHOWN:] = [f"and {len(reasons) - SHOWN} more: all are in {all_in}"]
        heading = f"{len(failures)} of {total} {what} failed:"
        fixes = dict.fromkeys(error.fix for _, error in failures if error.fix)
        super().__init__(reasons[0] if total == 1 else "\n  ".join([heading, *reasons]), fix="; ".join(fixes) or None)
        mendable = all(error.exit_code == 2 for _, error in failures)
        self.exit_code = 3 if len(failures) < total else 2 if mendable else 1


def _reason(item: str, error: SltError) -> str:
    return error.message if item in error.message else f"{item}: {error.message}"


def print_each(names: Sequence[str], line: Callable[[str], str], *, what: str) -> None:
    """Print a line for every item; those that have none, because something is wrong with them, come at the end.

    Args:
        names: of the items.
        line: makes the line of one; an empty one is not printed.
        what: the plural noun for the items ("models").

    Raises:
        ItemsFailed: no line could be made for some.
    """
    failures: list[tuple[str, SltError]] = []
    for name in names:
        try:
            if text := line(name):
                log.result(text)
        except SltError as error:
            failures.append((name, error))
    if failures:
        raise ItemsFailed(failures, total=len(names), what=what)
