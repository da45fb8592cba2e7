"""Read and write weight files; no file is trusted."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write

WRAPPERS = ("student", "model", "model_state", "state_dict")
"""Keys under which published checkpoints keep their weights; where several stand, the first is meant."""

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
METADATA_KEY = "slt"
NAMED_AT_MOST = 5
FETCH_AGAIN = "copy or fetch the file again: it was cut off or damaged, or is something else"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a safetensors file or torch checkpoint, by name, on the CPU.

    Where the format allows, the file is mapped into memory, not read. A checkpoint may keep its weights under one of
    ``WRAPPERS``.

    Raises:
        UserError: no such file; not whole; of another kind; or a pickle that wants more than tensors, of which
            nothing is run.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UserError(f"cannot read weights from {path}: {error.strerror}") from error
    if not head:
        raise UserError(f"{path} is empty, expected weights", fix=FETCH_AGAIN)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if head.startswith((ZIP, PICKLE)):
        return _unwrap(_read_torch(path, mapped=head.startswith(ZIP)), path)
    raise UserError(f"{path} is neither a safetensors file nor a torch checkpoint; it starts {head!r}", fix=FETCH_AGAIN)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with _safetensors(path) as (file, notes):
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return weights | {name: weights[first] for name, first in notes.get("shared", {}).items()}


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what ``save_weights`` was told to write beside the weights of a file; empty where it was told nothing.

    Raises:
        UserError: the file cannot be read.
    """
    with _safetensors(path) as (_, notes):
        return {name: value for name, value in notes.items() if name != "shared"}


@contextmanager
def _safetensors(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file, with our notes in it."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file, json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, ValueError, LookupError, AttributeError, OSError) as error:
        raise UserError(f"{path} is a damaged safetensors file: {error}", fix=FETCH_AGAIN) from error


def _read_torch(path: Path, *, mapped: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they speak to whoever wrote the file
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle can fail in any way
        # torch's own words would advise to load the file without this protection. It also rejects names cut short,
        # with which a truncated file may end: those are of torch's own makers of tensors.
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted and not wanted[1].startswith("torch._"):
            raise UserError(
                f"{path} is refused: it is a pickle that wants {wanted[1]}, and only tensors are allowed",
                fix="if you trust its author, let them save the weights alone, best as safetensors",
            ) from error
        raise UserError(f"{path} cannot be read as a torch checkpoint of weights", fix=FETCH_AGAIN) from error


def _unwrap(loaded: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise UserError(f"{path} holds a {type(loaded).__name__}, expected weights by name")
    under = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
    weights = loaded[under] if under else loaded
    others = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if others or not weights:
        where = f"under {under!r}" if under else f"and has none of {', '.join(WRAPPERS)}"
        raise UserError(f"{path} holds no plain weights {where}: found {some(others) or 'nothing'}")
    return {str(name): value for name, value in weights.items()}


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write weights as safetensors, whole or not at all; the same weights give the same bytes.

    Args:
        path: where to.
        weights: by name, on any device; what several names share is stored once.
        metadata: anything JSON can hold.

    Raises:
        SltError: the disk is full; UserError: one may not write there.
    """
    stored: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first_of: dict[Any, str] = {}
    storages: set[int] = set()
    for name, value in weights.items():
        storage = value.untyped_storage()
        view = (storage.data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype)
        if (first := first_of.setdefault(view, name)) != name:
            shared[name] = first
            continue
        # safetensors refuses views of parts, and of what another name has stored.
        is_view = storage.nbytes() != value.nbytes or storage.data_ptr() in storages
        stored[name] = (value.clone() if is_view else value).detach().cpu().contiguous()
        storages.add(storage.data_ptr())
    # One entry: safetensors writes several in random order.
    notes = {METADATA_KEY: json.dumps({"shared": shared, **(metadata or {})}, sort_keys=True)}
    with atomic_write(path) as file:
        try:
            save_file(stored, file.name, notes)
        except SafetensorError as error:
            raise SltError(f"cannot write {path}: {error}", fix="see that its disk has space left") from error


def some(names: Sequence[str], at_most: int = NAMED_AT_MOST) -> str:
    """Return names as a person reads them: the first few, and how many more."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
