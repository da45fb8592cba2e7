"""Read and write weight files; nothing in a file is executed."""

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
"""Keys under which published checkpoints store their weights; the first one present is used."""

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
METADATA_KEY = "slt"
MAX_NAMES = 5
FETCH_AGAIN = "copy or fetch the file again: it is truncated, damaged or not a weight file"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a safetensors file or torch checkpoint: name → tensor on the CPU.

    The file is memory-mapped where the format allows. A checkpoint may store its weights under one of ``WRAPPERS``.

    Raises:
        UserError: the file is missing, truncated, of another format, or a pickle with anything but tensors (it is not
            executed).
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
    with _safetensors(path) as (file, metadata):
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return weights | {name: weights[first] for name, first in metadata.get("shared", {}).items()}


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the ``metadata`` that ``save_weights`` wrote into a file; empty if there was none.

    Raises:
        UserError: the file cannot be read.
    """
    with _safetensors(path) as (_, metadata):
        return {name: value for name, value in metadata.items() if name != "shared"}


@contextmanager
def _safetensors(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a safetensors file; yield it and its slt metadata."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file, json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, ValueError, LookupError, AttributeError, OSError) as error:
        raise UserError(f"{path} is a damaged safetensors file: {error}", fix=FETCH_AGAIN) from error


def _read_torch(path: Path, *, mapped: bool) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about how the file was written
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle can fail in any way
        # torch's message advises loading without this protection, so it is not shown. A truncated file may end in a
        # shortened name of one of torch's own tensor constructors, which is no security problem.
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted and not wanted[1].startswith("torch._"):
            raise UserError(
                f"{path} is refused: it is a pickle that imports {wanted[1]}, expected tensors only",
                fix="ask its author for a file with weights only, preferably safetensors",
            ) from error
        raise UserError(f"{path} cannot be read as a torch checkpoint, expected weights", fix=FETCH_AGAIN) from error


def _unwrap(loaded: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise UserError(f"{path} holds a {type(loaded).__name__}, expected weights by name")
    under = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
    weights = loaded[under] if under else loaded
    others = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if others or not weights:
        where = f"under {under!r}" if under else f"and has none of {', '.join(WRAPPERS)}"
        raise UserError(f"{path} holds no plain weights {where}: found {shorten(others) or 'nothing'}")
    return {str(name): value for name, value in weights.items()}


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write weights as safetensors atomically; equal weights give equal bytes.

    Args:
        path: output file.
        weights: name → tensor on any device; a tensor shared by several names is stored once.
        metadata: JSON-serialisable values.

    Raises:
        SltError: the disk is full.
        UserError: no permission to write there.
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
        # safetensors refuses partial views and storage shared with another name.
        is_view = storage.nbytes() != value.nbytes or storage.data_ptr() in storages
        stored[name] = (value.clone() if is_view else value).detach().cpu().contiguous()
        storages.add(storage.data_ptr())
    # One entry: safetensors writes several in random order.
    header = {METADATA_KEY: json.dumps({"shared": shared, **(metadata or {})}, sort_keys=True)}
    with atomic_write(path) as file:
        try:
            save_file(stored, file.name, header)
        except SafetensorError as error:
            raise SltError(f"cannot write {path}: {error}", fix="free space on its disk") from error


def shorten(names: Sequence[str], at_most: int = MAX_NAMES) -> str:
    """Return the first ``at_most`` names and the number of the others, for messages."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
