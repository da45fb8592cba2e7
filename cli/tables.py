"""Tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from slt.env.checks import CheckResult

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
WIDTH = 120  # where there is no terminal to ask


def print_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table."""
    table = _table(header)
    for row in rows:
        table.add_row(*row)
    _print(table)


def print_checks(results: Iterable[CheckResult]) -> None:
    """Print check results: found and expected side by side, what to do on a line of its own beneath."""
    from rich.text import Text

    table = _table(("", "check", "found", "expected"))
    for result in results:
        mark = Text(result.status, style=COLOURS[result.status])
        table.add_row(mark, result.name, Text(result.found), Text(result.expected))
        if result.fix:
            table.add_row("", "", Text(f"fix: {result.fix}", style="bold"), "")
    _print(table)


def _table(header: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
