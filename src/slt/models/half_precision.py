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

MIN_CACHED_BYTES = 2**28
"""Weights of smaller files are cast in memory, which is fast enough."""

NAMES = {torch.bfloat16: ("bfloat16", "BF16"), torch.float16: ("float16", "F16")}
"""dtype → (name in file names, name in safetensors)."""

_SPARE_BYTES = 2**20
_ALIGNED = 64  # bytes; alignment of the data: a cache line


def read_weights_as(bundle: Bundle, file: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights of a bundle's file, for a model that stores them in ``dtype``.

    In half precision they are memory-mapped from a cast copy in the bundle's folder ``copies``, which the first call
    writes: no casting time and half the memory. If no copy can be written, a warning is logged and the weights are
    returned in their stored dtype.

    Args:
        bundle: the bundle.
        file: file name in its card.
        dtype: dtype of the model.

    Raises:
        UserError: the weights cannot be read.
    """
    source, sha256 = bundle.path(file), bundle.card.sha256.get(file)
    if dtype not in NAMES or sha256 is None or source.stat().st_size < MIN_CACHED_BYTES:
        return read_weights(source)
    weights = read_weights(source)
    if all(value.dtype == dtype for value in weights.values() if value.is_floating_point()):
        return weights
    name, _ = NAMES[dtype]
    copy = bundle.copies / f"{source.stem}.{name}.safetensors"
    try:
        if _copy_of(copy) != sha256:
            _write_copy(source, copy, dtype, sha256)
    except SltError as error:
        log.warn(f"cannot cache {file} in {name}, so loading is slower: {error.message}")
        return weights
    return read_weights(copy)


def _copy_of(copy: Path) -> str | None:
    """Return the SHA-256 of the file that a copy was cast from; None if there is no copy."""
    return str(_metadata(copy).get("copy_of")) if copy.is_file() else None


def _metadata(path: Path) -> dict[str, Any]:
    """Return the slt metadata of a file; empty if the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {}).get(METADATA_KEY, "{}")))
    except (SafetensorError, ValueError, TypeError, AttributeError):
        return {}


def _write_copy(source: Path, copy: Path, dtype: torch.dtype, sha256: str) -> None:
    name, _ = NAMES[dtype]
    with folder_lock(copy.parent):
        if _copy_of(copy) == sha256:  # written by the process that held the lock
            return
        remove_leftovers(copy.parent)  # before the free space is measured
        needed, free = source.stat().st_size // 2 + _SPARE_BYTES, shutil.disk_usage(copy.parent).free
        if free < needed:
            raise SltError(f"found {log.size(free)} free in {copy.parent}, expected {log.size(needed)}")
        log.say(f"caching {source.name} in {name} ({log.size(needed)}); removed with the model")
        header, names = _header(source, dtype, {**_metadata(source), "copy_of": sha256})
        with atomic_write(copy) as file:
            file.write(header)
            for value in _tensors(source, names):
                cast = value.to(dtype) if value.is_floating_point() else value
                cast.contiguous().reshape(-1).view(torch.uint8).numpy().tofile(file)


def _header(source: Path, dtype: torch.dtype, metadata: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Return the header bytes of a copy, and the names of its weights in the order of its data.

    Reference: the safetensors format: eight bytes with the header's length, the header in JSON, the data.
    """
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(metadata, sort_keys=True)}}
    end = 0
    with safe_open(source, framework="pt") as file:
        names = list(file.keys())
        for name in names:
            value = file.get_tensor(name)  # memory-mapped: no data is read
            is_float = value.is_floating_point()
            start, end = end, end + value.numel() * (dtype.itemsize if is_float else value.itemsize)
            code = NAMES[dtype][1] if is_float else file.get_slice(name).get_dtype()
            header[name] = {"dtype": code, "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    return len(text).to_bytes(8, "little") + text, names


def _tensors(source: Path, names: list[str]) -> Iterator[Tensor]:
    """Yield weights, each from its own memory map, so that its pages are released with it."""
    for name in names:
        with safe_open(source, framework="pt") as file:
            value = file.get_tensor(name)
        yield value
