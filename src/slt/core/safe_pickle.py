"""Read pickles of plain data and numpy arrays; nothing in them is imported or called.

A pickle is a program for a small stack machine, and its instructions may call any function. Here they are read by
``pickletools`` and carried out on plain values only; ``slt.core.pickle_values`` has the few things they may build.
"""

from __future__ import annotations

import gzip
import io
import pickletools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slt.core.errors import UserError
from slt.core.pickle_values import CALLS, Array, Name, Refused, Type, array_of, check_size, checked, set_byte_order

LARGEST_BYTES = 1 << 30
ALLOWED = "numpy arrays of numbers and texts, lists, tuples, dicts, numbers and strings"
_GZIP = b"\x1f\x8b"
_FIX = "export it as .npy or JSON where you trust it"


def load_pickle(path: Path) -> Any:
    """Read a pickle of plain data, gzipped or not.

    Args:
        path: the file, of at most a gibibyte once unpacked.

    Returns:
        Lists, tuples, dicts (keys: strings, numbers), strings, bytes, numbers, None, and arrays of numbers or texts.

    Raises:
        UserError: no such file; too large; damaged; or it wants more than plain data, which is named.
    """
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(2) == _GZIP
            file.seek(0)
            with gzip.open(file) if is_gzip else file as opened:
                data = opened.read(LARGEST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}", fix="copy or download it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > LARGEST_BYTES:
        raise UserError(f"{path} unpacks to more than {LARGEST_BYTES >> 20} MiB, expected less", fix=_FIX)
    return loads(data, where=path)


def loads(data: bytes, *, where: Path) -> Any:
    """Return what the pickle ``data`` holds; as ``load_pickle``.

    Args:
        data: the pickle.
        where: what the error calls it.

    Raises:
        UserError: it is damaged, or wants more than plain data.
    """
    try:
        value = _Machine().run(data)
        check_size(value)
    except Refused as error:
        raise UserError(
            f"{where} is refused: it is a pickle that {error}; nothing in it was run. Expected only {ALLOWED}", fix=_FIX
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(
            f"{where} is not a pickle that can be read: {type(error).__name__}: {error}"[:400],
            fix="copy or download it again",
        ) from error
    return value


class _Machine:
    """Carries out the instructions of one pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._n_open = 0  # arrays begun and not built

    def run(self, data: bytes) -> Any:
        """Return the value that the instructions leave."""
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            name = opcode.name
            if name in _LITERALS:
                self._stack.append(argument)
            elif name == "STOP":
                break
            elif name not in _STEPS:
                raise Refused(f"asks for the instruction {name}")
            else:
                _STEPS[name](self, argument)
        (value,) = self._stack
        if self._n_open or isinstance(value, (Name, Type, Array)):
            raise Refused("ends in the middle of an array")
        return value

    def mark(self, _: Any) -> None:
        """Begin a list of arguments."""
        self._marked.append(self._stack)
        self._stack = []

    def since_mark(self) -> list[Any]:
        """Remove and return all values since the mark."""
        items, self._stack = self._stack, self._marked.pop()
        return items

    def take(self, n: int) -> tuple[Any, ...]:
        """Remove and return the last ``n`` values."""
        if n > len(self._stack):
            raise Refused("takes more than it has")
        items = tuple(self._stack[len(self._stack) - n :])
        del self._stack[len(self._stack) - n :]
        return items

    def pop(self, _: Any) -> None:
        """Drop the last value."""
        self.take(1)

    def push(self, value: Any) -> None:
        """Add a value."""
        self._stack.append(value)

    def extend(self, items: Iterable[Any]) -> None:
        """Append values to the list that is last on the stack."""
        checked(self._stack[-1], list).extend(items)

    def fill(self, items: Sequence[Any]) -> None:
        """Put keys and values, in turn, into the dict that is last on the stack."""
        if len(items) % 2 or not all(isinstance(key, (str, int, float, bytes)) for key in items[::2]):
            raise Refused("has dict keys that are no strings or numbers")
        checked(self._stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))

    def fill_new(self, _: Any) -> None:
        """Make a dict of the keys and values since the mark."""
        items = self.since_mark()
        self.push({})
        self.fill(items)

    def put(self, key: int | str | None) -> None:
        """Remember the last value under a number."""
        value = self._stack[-1]
        key = len(self._memo) if key is None else int(key)
        self._memo[key] = value
        if isinstance(value, Array):
            value.keys.append(key)

    def get(self, key: int | str) -> None:
        """Repeat what was remembered."""
        value = self._memo[int(key)]
        if isinstance(value, Array):
            raise Refused("uses an array before it is whole")
        self._stack.append(value)

    def name(self, module: str, attribute: str) -> None:
        """Name something to import."""
        name = Name(module, attribute)
        if name.short not in CALLS and name.short != "ndarray":
            raise Refused(f"imports {name.wanted}")
        self.push(name)

    def reduce(self, _: Any) -> None:
        """Do what stands for a call of one of the few names: begin an array, describe a type, decode bytes."""
        name, arguments = self.take(2)
        if not isinstance(name, Name) or name.short not in CALLS or not isinstance(arguments, tuple):
            raise Refused("calls what is no function")
        made = CALLS[name.short](*arguments)
        self._n_open += isinstance(made, Array)
        self._stack.append(made)

    def build(self, _: Any) -> None:
        """Give an array its shape and bytes, or a type its byte order."""
        begun, state = self.take(2)
        if isinstance(begun, Type):
            set_byte_order(begun, state)
            self._stack.append(begun)
        elif isinstance(begun, Array):
            array = array_of(state)
            self._memo.update(dict.fromkeys(begun.keys, array))
            self._n_open -= 1
            self._stack.append(array)
        else:
            raise Refused("sets the state of an object")


_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")
_LITERALS = {*_NUMBERS, *_TEXTS, "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "POP": _Machine.pop,
    "MARK": _Machine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": _Machine.fill_new,
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.fill(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.fill(machine.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": lambda machine, argument: machine.name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*map(str, machine.take(2))),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
