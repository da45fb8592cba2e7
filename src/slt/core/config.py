"""Parse JSON or YAML values into dataclasses, and report all errors with their paths."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from slt.core.errors import UserError
from slt.core.registry import did_you_mean

T = TypeVar("T")

PLAIN = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
_BAD: Any = object()


def parse(cls: type[T], value: object, *, where: str) -> T:
    """Make a dataclass of what JSON or a recipe gave; absent keys take their defaults.

    Fields may be int, float, bool, str, a Literal, a tuple, a Mapping from texts, another dataclass, any of these or
    None, several dataclasses told apart by their ``kind``, a text or a Mapping, or Any. A ``UserError`` of a
    dataclass's own ``__post_init__`` is told like every other mistake.

    Args:
        cls: the dataclass.
        value: what was read.
        where: what to call it in the error: a file, mostly.

    Raises:
        UserError: unknown or absent keys, values of another type, or ones that ``cls`` refuses; all of them.
    """
    mistakes: list[str] = []
    parsed = _parse(cls, value, "", mistakes)
    if mistakes:
        several = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise UserError(f"{several} in {where}: {'; '.join(mistakes)}")
    return parsed


def _parse(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    """Return ``value`` as ``kind``; or note at least one mistake and return anything."""
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, path, mistakes)
    origin = get_origin(kind)
    parser = _PARSERS.get(origin, _parse_plain)
    return parser(kind, value, path, mistakes)


def _parse_dataclass(cls: Any, value: object, path: str, mistakes: list[str]) -> Any:
    if not isinstance(value, Mapping):
        return _bad(path, "a group of keys", value, mistakes)
    hints = get_type_hints(cls)
    wanted = {field.name: field for field in dataclasses.fields(cls) if field.init}
    before = len(mistakes)
    for key in value:
        if key not in wanted:
            hint = did_you_mean(str(key), wanted)
            mistakes.append(f"{_below(path, key)}: unknown" + (f", {hint}" if hint else ""))
    for name, field in wanted.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            mistakes.append(f"{_below(path, name)}: absent")
    parsed = {name: _parse(hints[name], value[name], _below(path, name), mistakes) for name in wanted if name in value}
    if len(mistakes) > before:
        return _BAD
    try:
        return cls(**parsed)
    except UserError as error:
        mistakes.append(f"{path}: {error.message}" if path else error.message)
        return _BAD


def _parse_plain(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _bad(path, PLAIN[kind], value, mistakes)


def _parse_either(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    """``X | None``, ``str | Mapping``, or several dataclasses of which each one's ``kind`` is a Literal."""
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None and len(options) < len(get_args(kind)):
        return None
    if len(options) > 1 and dataclasses.is_dataclass(options[0]):
        return _by_kind(options, value, path, mistakes)
    fitting = [option for option in options if isinstance(value, Mapping) == (get_origin(option) is Mapping)]
    return _parse((fitting or options)[0], value, path, mistakes)


def _by_kind(options: list[Any], value: object, path: str, mistakes: list[str]) -> Any:
    """Choose the dataclass by its ``kind``: a Literal, or ``str`` for the class of all other known kinds."""
    literals = {option: get_args(get_type_hints(option)["kind"]) for option in options}
    kinds = {literal[0]: option for option, literal in literals.items() if literal}
    for other in (option for option, literal in literals.items() if not literal):
        kinds |= {kind: other for kind in other.KINDS if kind not in kinds}
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if isinstance(kind, str) and kind in kinds:
        return _parse_dataclass(kinds[kind], value, path, mistakes)
    if not isinstance(value, Mapping) or "kind" not in value:
        return _bad(path, f"a group of keys with a kind, one of {', '.join(kinds)}", value, mistakes)
    hint = did_you_mean(str(kind), kinds)
    mistakes.append(
        f"{_below(path, 'kind')}: unknown {kind!r}, known: {', '.join(kinds)}" + (f"; {hint}" if hint else "")
    )
    return _BAD


def _parse_literal(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    choices = get_args(kind)
    return value if value in choices else _bad(path, f"one of {', '.join(map(repr, choices))}", value, mistakes)


def _parse_tuple(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    if not isinstance(value, list | tuple):
        return _bad(path, "a list", value, mistakes)
    kinds = get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    elif len(kinds) != len(value):
        return _bad(path, f"a list of {len(kinds)}", value, mistakes)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_parse(one, item, f"{path}[{i}]", mistakes) for i, (one, item) in pairs)


def _parse_mapping(kind: Any, value: object, path: str, mistakes: list[str]) -> Any:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return _bad(path, "a group of keys", value, mistakes)
    return {key: _parse(get_args(kind)[1], item, _below(path, key), mistakes) for key, item in value.items()}


def _bad(path: str, expected: str, value: object, mistakes: list[str]) -> Any:
    mistakes.append((f"{path}: " if path else "") + f"expected {expected}, found {value!r:.80}")
    return _BAD


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


_PARSERS: Mapping[Any, Callable[[Any, object, str, list[str]], Any]] = {
    types.UnionType: _parse_either,
    Union: _parse_either,
    Literal: _parse_literal,
    tuple: _parse_tuple,
    Mapping: _parse_mapping,
    dict: _parse_mapping,
}
