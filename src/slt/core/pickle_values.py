"""What a pickle may build: arrays of exactly the bytes given, types of numbers, decoded bytes.

numpy's own unpickling believes what a pickle says about memory, so arrays are made by ``frombuffer`` instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEEPEST = 32
LARGEST_COUNT = 20_000_000
"""Values a pickle may stand for once everything that it names twice is written out: a few bytes can name 10^10."""

_NUMPY = re.compile(r"numpy\.(_?core\.)?(multiarray|numeric)|numpy")
_TYPE = re.compile(r"[?]|b1|[iu][1248]|f[248]|[US]\d{1,5}")


class Refused(Exception):
    """What a pickle wants and does not get."""


class Name:
    """Something a pickle wants to import: only its name; never the thing itself."""

    def __init__(self, module: str, name: str) -> None:
        self.wanted = f"{module}.{name}"
        self.short = name if _NUMPY.fullmatch(module) else self.wanted


class Type:
    """A number type that a pickle describes; its byte order comes later."""

    def __init__(self, code: str) -> None:
        self.dtype: np.dtype[Any] = np.dtype(code)


class Array:
    """An array whose shape and bytes come later; ``keys`` are the places in the memo that wait for it."""

    def __init__(self) -> None:
        self.keys: list[int] = []


def _begin_array(kind: object, shape: object, code: object) -> Array:
    if not isinstance(kind, Name) or kind.short != "ndarray":
        raise Refused("builds an array of another class")
    return Array()


def _type(code: object, *_: object) -> Type:
    if not isinstance(code, str) or not _TYPE.fullmatch(code):
        raise Refused(f"holds an array of {code!r:.40}")
    return Type(code)


def set_byte_order(kind: Type, state: Any) -> None:
    """Give a type the byte order of its pickled state.

    Raises:
        Refused: it is a record, or no state of a type.
    """
    _, order, *described = checked(state, tuple)
    if any(one is not None for one in described[:3]):  # parts of a record, which may be objects
        raise Refused("holds an array of records")
    if order not in ("<", ">", "|", "="):
        raise Refused(f"holds an array of the byte order {order!r:.10}")
    kind.dtype = kind.dtype.newbyteorder(order)


def array_of(state: Any) -> NDArray[Any]:
    """Return the array of a pickled state: version, shape, type, whether by columns, bytes.

    Raises:
        Refused: the bytes are not those of the shape, or it holds objects.
    """
    _, shape, kind, by_columns, data = checked(state, tuple)
    return _from_buffer(data, kind, shape, "F" if by_columns else "C")


def _from_buffer(data: object, kind: object, shape: object, order: object) -> NDArray[Any]:
    """Return an array of exactly the bytes given."""
    if isinstance(data, str):  # Python 2 knew no bytes
        data = data.encode("latin-1")
    if not isinstance(data, (bytes, bytearray)) or not isinstance(kind, Type) or order not in ("C", "F"):
        raise Refused("holds an array of objects")
    sizes = tuple(int(one) for one in checked(shape, tuple))
    if min(sizes, default=0) < 0 or math.prod(sizes) * kind.dtype.itemsize != len(data):
        raise Refused(f"holds an array whose {len(data)} bytes are not those of its shape {sizes}")
    # A copy: the caller may write to it, and a machine's own byte order is what others compute with.
    return np.frombuffer(data, kind.dtype).reshape(sizes, order=order).astype(kind.dtype.newbyteorder("="))


def _scalar(kind: object, data: object) -> Any:
    return _from_buffer(data, kind, (), "C").item()


def _encode(text: object, codec: object) -> bytes:
    if codec not in ("latin1", "latin-1"):
        raise Refused(f"encodes a text as {codec!r:.20}")
    return checked(text, str).encode("latin-1")


def _byte_array(text: object = b"", *codec: object) -> bytes:
    return bytes(text) if isinstance(text, (bytes, bytearray)) else _encode(text, *codec)


def checked(value: Any, kind: type) -> Any:
    """Return ``value``, which is of exactly that kind.

    Raises:
        Refused: it is not.
    """
    if type(value) is not kind:
        raise Refused(f"treats a {type(value).__name__.strip('_')} as a {kind.__name__}")
    return value


def check_size(value: Any) -> None:
    """Refuse what would be endless, or immense, once it is written out."""
    counts: dict[int, int] = {}

    def count(one: Any, depth: int) -> int:
        if not isinstance(one, (list, tuple, dict)):
            if isinstance(one, (Name, Type, Array)):
                raise Refused("keeps the name of something to import")
            return 1
        if id(one) in counts:
            return counts[id(one)]
        if depth > DEEPEST:
            raise Refused(f"nests more than {DEEPEST} deep, or in itself")
        inner = one.values() if isinstance(one, dict) else one
        total = counts[id(one)] = 1 + sum(count(part, depth + 1) for part in inner)
        if total > LARGEST_COUNT:
            raise Refused(f"stands for more than {LARGEST_COUNT} values")
        return total

    count(value, 0)


CALLS: Mapping[str, Callable[..., Any]] = {
    "_reconstruct": _begin_array,
    "_frombuffer": _from_buffer,
    "dtype": _type,
    "scalar": _scalar,
    "_codecs.encode": _encode,
    "builtins.bytearray": _byte_array,
    "__builtin__.bytearray": _byte_array,
    "builtins.bytes": _byte_array,
    "__builtin__.bytes": _byte_array,
}
