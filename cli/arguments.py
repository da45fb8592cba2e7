"""Check a command line of slt without running it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any


def check_arguments(words: Sequence[str], command: Any) -> None:
    """Check that ``slt`` followed by these words is a command, with options it has and values they take.

    Args:
        words: the command line after ``slt``.
        command: ``slt`` itself, as typer makes it.

    Raises:
        UserError: it is not.
    """
    import typer
    from typer.core import TyperGroup

    from slt.core.errors import UserError

    said = f"slt {shlex.join(words)}"
    context = typer.Context(command, info_name="slt")
    left = list(words)
    try:
        while isinstance(command, TyperGroup):
            if not left:
                raise UserError(f"{said} names no command", fix=f"see {said} --help")
            name, found, left = command.resolve_command(context, left)
            assert found is not None  # resilient parsing alone goes on without
            command, context = found, typer.Context(found, info_name=name, parent=context)
        command.make_context(command.name, left, parent=context.parent).close()
    except typer.TyperException as error:
        raise UserError(f"{said}: {error.format_message()}") from error
