"""The JSON schema of recipes, for editors: made of the typed recipe, its defaults and its docstrings.

``make docs`` renews ``recipe.schema.json`` beside this file; a test holds that it is fresh and takes every shipped
recipe.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from slt.core.registry import FRONTENDS
from slt.recipe.extractors import Extractor, OtherExtractor
from slt.recipe.schema import Recipe

FILE = Path(__file__).with_name("recipe.schema.json")
DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that editors know best


def recipe_schema() -> dict[str, Any]:
    """Return what a recipe may hold, as a JSON schema: every key with its type, default and meaning."""
    schema = TypeAdapter(Recipe).json_schema()
    parts = schema["$defs"]
    classes = _dataclasses_within(Recipe)
    for name, part in [*parts.items(), ("Recipe", schema)]:
        words = _words(classes[name])
        part["additionalProperties"] = False
        part["description"] = words.pop("")
        for key, value in part["properties"].items():
            value.pop("title", None)
            if key in words:
                value["description"] = words[key]
    named = {kind for option in get_args(Extractor) for kind in get_args(get_type_hints(option)["kind"])}
    parts[OtherExtractor.__name__]["properties"]["kind"]["enum"] = sorted(set(FRONTENDS) - named)
    return {"$schema": DIALECT, **schema, "title": "Recipe of a training by slt"}


def as_text() -> str:
    """Return the file's content."""
    return json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"


def _dataclasses_within(cls: Any) -> dict[str, Any]:
    """Return a dataclass and all that its fields name, however deep, by name."""
    found = {cls.__name__: cls}
    waiting = list(get_type_hints(cls).values())
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found |= _dataclasses_within(hint)
    return found


def _words(cls: type) -> dict[str, str]:
    """Return what docstrings say of each field, a base's included; under "" what the class is."""
    words: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        summary, _, fields = (inspect.getdoc(base) or "").partition("\nAttributes:\n")
        items = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", fields, re.M)
        words |= {key: " ".join(text.split()) for key, text in items}
        words[""] = " ".join(summary.partition("\n\n")[0].split())
    return words
