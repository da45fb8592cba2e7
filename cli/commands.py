"""Groups of commands, in whose help each command's sentence stands whole."""

from __future__ import annotations

import sys
from typing import Any

from typer.core import TyperGroup


class Commands(TyperGroup):
    """A group of commands; typer's own cuts their sentences off at the width of the terminal."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the name of each command and the first sentence of its help, over several lines if need be."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: command for name, command in commands.items() if command and not command.hidden}
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(sys.maxsize)) for name, one in shown.items()])
