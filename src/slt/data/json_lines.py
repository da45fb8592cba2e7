"""Read lines of JSON: one object each, numbers as they are written."""

from __future__ import annotations

import json
from typing import Any

from slt.core.errors import UserError
from slt.data.lines import shown

JSON_LINES = (".jsonl", ".ndjson")


def read_object(line: str) -> dict[str, Any]:
    """Return the object of a line, numbers as they are written.

    Raises:
        UserError: it is none, has a key twice, or nests too deep.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is there twice")
        return found

    def refused(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        found = json.loads(line, object_pairs_hook=once, parse_float=str, parse_int=str, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise UserError(f"it is not JSON: {error}"[:200]) from error
    if not isinstance(found, dict):
        raise UserError(f"it is {shown(line)}, expected a JSON object")
    return found
