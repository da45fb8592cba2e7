"""Weights cast to half precision once, cached beside the originals, and memory-mapped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from slt.assets.lock import folder_lock
from slt.assets.store import Bundle
from slt.core import log
from slt.core.errors import SltError
from slt.core.files import atomic_write
from slt.core.leftovers import remove_leftovers
from slt.models.checkpoint import METADATA_KEY, read_weights

SMALLEST_BYTES = 2**28
"""Weights of smaller files are cast in memory, faster than a copy of them could be looked after."""

NAMES = {torch.bfloat16: ("bfloat16", "BF16"), torch.float16: ("float16", "F16")}
"""What we and safetensors call the dtypes there are copies in."""

_SPARE_BYTES = 2**20
_ALIGNED = 64  # of the data in the file, and so in memory: a cache line


def read_weights_as(bundle: Bundle, file: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights of a bundle's file, for a model that will hold them in ``dtype``.

    In half precision they come from a copy beside the bundle's file, in its folder ``copies``, which the first call
    makes: mapped, it is there at once and needs half the memory, where casting takes seconds and both. Where no copy
    can be written, a warning says so, and they come as they are stored.

    Args:
        bundle: whose.
        file: as its card names it.
        dtype: of the model to be.

    Raises:
        UserError: the weights cannot be read.
    """
    source, sha256 = bundle.path(file), bundle.card.sha256.get(file)
    if dtype not in NAMES or sha256 is None or source.stat().st_size < SMALLEST_BYTES:
        return read_weights(source)
    weights = read_weights(source)
    if all(value.dtype == dtype for value in weights.values() if value.is_floating_point()):
        return weights
    name, _ = NAMES[dtype]
    copy = bundle.copies / f"{source.stem}.{name}.safetensors"
    try:
        if _copy_of(copy) != sha256:
            _make(source, copy, dtype, sha256)
    except SltError as error:
        log.warn(f"no copy of {file} in {name} is kept, so loading it takes longer: {error.message}")
        return weights
    return read_weights(copy)


def _copy_of(copy: Path) -> str | None:
    """Return the SHA-256 of the file that a copy was made of; None where there is no copy."""
    return str(_notes(copy).get("copy_of")) if copy.is_file() else None


def _notes(path: Path) -> dict[str, Any]:
    """Return what ``save_weights`` or ``_make`` noted in a file; nothing where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {}).get(METADATA_KEY, "{}")))
    except (SafetensorError, ValueError, TypeError, AttributeError):
        return {}


def _make(source: Path, copy: Path, dtype: torch.dtype, sha256: str) -> None:
    name, _ = NAMES[dtype]
    with folder_lock(copy.parent):
        if _copy_of(copy) == sha256:  # made by whom we waited for
            return
        remove_leftovers(copy.parent)  # before the free space is measured
        needed, free = source.stat().st_size // 2 + _SPARE_BYTES, shutil.disk_usage(copy.parent).free
        if free < needed:
            raise SltError(f"it needs {log.size(needed)}, and {copy.parent} has {log.size(free)} left")
        log.say(f"keeping a copy of {source.name} in {name}, {log.size(needed)}: made once, removed with the model")
        header, names = _plan(source, dtype, {**_notes(source), "copy_of": sha256})
        with atomic_write(copy) as file:
            file.write(header)
            for value in _one_by_one(source, names):
                cast = value.to(dtype) if value.is_floating_point() else value
                cast.contiguous().reshape(-1).view(torch.uint8).numpy().tofile(file)


def _plan(source: Path, dtype: torch.dtype, notes: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Return the first bytes of a copy, and the names of its weights in the order of its data.

    Reference: the safetensors format: eight bytes with the header's length, the header in JSON, the data.
    """
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(notes, sort_keys=True)}}
    end = 0
    with safe_open(source, framework="pt") as file:
        names = list(file.keys())
        for name in names:
            value = file.get_tensor(name)  # mapped: nothing is read
            is_float = value.is_floating_point()
            start, end = end, end + value.numel() * (dtype.itemsize if is_float else value.itemsize)
            code = NAMES[dtype][1] if is_float else file.get_slice(name).get_dtype()
            header[name] = {"dtype": code, "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    return len(text).to_bytes(8, "little") + text, names


def _one_by_one(source: Path, names: list[str]) -> Iterator[Tensor]:
    """Yield weights each from a mapping of its own, so that what was read of one leaves memory with it."""
    for name in names:
        with safe_open(source, framework="pt") as file:
            value = file.get_tensor(name)
        yield value
