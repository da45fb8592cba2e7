"""Devices: whatever differs between a CPU and an accelerator is decided here.

An accelerator is a GPU, or what tests put in its place: they add its name to ``ACCELERATORS``.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt.core import log
from slt.core.errors import UserError, is_out_of_memory

T = TypeVar("T")

CPU = "cpu"
ACCELERATORS = ["cuda"]
"""Types of device beside the CPU that models may run on, as torch calls them; the first that is there is chosen."""


def accelerator() -> str | None:
    """Return the type of this machine's accelerator; None: it has none."""
    return next((kind for kind in ACCELERATORS if _module(kind).is_available()), None)


def count(kind: str) -> int:
    """Return how many accelerators of a type torch sees."""
    return int(_module(kind).device_count())


def is_accelerator(device: torch.device | str) -> bool:
    """Return whether a device has memory of its own and computes while the CPU goes on."""
    return torch.device(device).type in ACCELERATORS  # not torch's "meta", which computes shapes alone


def choose_device(name: str) -> torch.device:
    """Return the device that ``name`` means.

    Args:
        name: "auto" (an accelerator when there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        UserError: no device is called that, or this machine has none.
    """
    if name == "auto":
        return torch.device(accelerator() or CPU)
    kind, _, number = name.partition(":")
    if kind not in (CPU, *ACCELERATORS) or not (number.isdecimal() or name == kind):
        raise UserError(f"unknown device {name!r}; expected auto, cpu, cuda or cuda:N")
    if kind != CPU and int(number or 0) >= count(kind):
        raise UserError(
            f"{name} was asked for, but torch sees {count(kind)} GPUs here",
            fix="remove --device to use what there is; `slt doctor` says why a GPU is not seen",
        )
    return torch.device(name)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; an accelerator copies it from pinned memory while the CPU goes on.

    The tensor must not be changed afterwards.
    """
    if is_accelerator(tensor.device) or not is_accelerator(device):
        return tensor.to(device)
    return _copied(tensor if tensor.is_pinned() else tensor.pin_memory(), device)


def send_joined(arrays: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """Return arrays joined along their first axis as one tensor on a device, of the arrays' dtype.

    For an accelerator they are joined in pinned memory, which spares a copy.
    """
    if not is_accelerator(device):
        return torch.from_numpy(np.concatenate(arrays))
    tensors = [torch.from_numpy(array) for array in arrays]
    shape = (sum(map(len, tensors)), *tensors[0].shape[1:])
    joined = torch.empty(shape, dtype=tensors[0].dtype, pin_memory=True)
    return _copied(torch.cat(tensors, out=joined), device)  # which lets other threads read meanwhile


class Work:
    """What a device computes while the program goes on, and the results on their way to the CPU.

    Made before the work is begun; ``bring`` names its results, ``wait`` returns them. On a CPU they are there at once.

    Attributes:
        seconds: what the device took, once ``wait`` has returned.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device
        self._results: list[Tensor] = []
        self._began = time.perf_counter()
        self._start = self._mark()
        self._end: Any = None

    def bring(self, results: Sequence[Tensor]) -> None:
        """Begin to copy the results to the CPU; those that are there already stay as they are."""
        for result in results:
            if is_accelerator(result.device):
                host = torch.empty_like(result, device=CPU, pin_memory=True)
                result = host.copy_(result, non_blocking=True)
            self._results.append(result)
        self._end = self._mark()
        if self._end is None:
            self.seconds = time.perf_counter() - self._began

    def wait(self) -> list[Tensor]:
        """Return the results on the CPU, when the device has got that far."""
        if self._end is not None:
            self._end.synchronize()
            self.seconds = self._start.elapsed_time(self._end) / 1000
        return self._results

    def _mark(self) -> Any:
        """Return an event in what the device was asked for, which need not be the current one; None on a CPU."""
        if not is_accelerator(self._device):
            return None
        module = _module(self._device.type)
        event = module.Event(enable_timing=True)
        event.record(module.current_stream(self._device))
        return event


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes of an accelerator's memory can still be allocated; None on a CPU."""
    if not is_accelerator(device):
        return None
    module = _module(device.type)
    free, _ = module.mem_get_info(device)
    return int(free + module.memory_reserved(device) - module.memory_allocated(device))


def peak_bytes(device: torch.device) -> int | None:
    """Return the most bytes of an accelerator's memory that tensors took so far; None on a CPU."""
    return int(_module(device.type).max_memory_allocated(device)) if is_accelerator(device) else None


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 itself; older GPUs emulate it, slowly."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


def synchronise(device: torch.device) -> None:
    """Wait until a device has computed all it was asked for."""
    if is_accelerator(device):
        _module(device.type).synchronize(device)


def empty_caches() -> None:
    """Return memory that torch keeps of accelerators for later tensors."""
    for kind in ACCELERATORS:
        if _module(kind).is_available():
            _module(kind).empty_cache()


def in_parts(n_items: int, size: int, compute: Callable[[slice], Sequence[T]], *, what: str) -> list[T]:
    """Compute items in parts; where memory runs out, in halves of them from there on, said once.

    Args:
        n_items: how many.
        size: of a part, at most.
        compute: returns the results of the items in a slice.
        what: the items are, for the message.

    Raises:
        Exception: as ``compute`` does, also where memory runs out for a single item.
    """
    found: list[T] = []
    while len(found) < n_items:
        part = slice(len(found), min(len(found) + size, n_items))
        try:
            found += compute(part)
        except Exception as error:
            if part.stop - part.start == 1 or not is_out_of_memory(error):
                raise
        else:
            continue
        # Outside the handler: the error holds on to the tensors that did not fit.
        size = (part.stop - part.start) // 2
        make_room(what, size)
    return found


def make_room(what: str, size: int) -> None:
    """Return cached memory after it ran out, and say once how many items will be computed together from now on."""
    empty_caches()
    if what not in _TOLD:
        _TOLD.add(what)
        log.warn(f"memory ran out: going on with at most {size} {what} at once")


_TOLD: set[str] = set()


def _copied(pinned: Tensor, device: torch.device) -> Tensor:
    """Copy from pinned memory on a stream of its own, so that the device computes meanwhile."""
    module = _module(device.type)
    here, copying = module.current_stream(device), _copy_stream(device)
    with module.stream(copying):
        there = pinned.to(device, non_blocking=True)
    here.wait_stream(copying)
    there.record_stream(here)
    return there


@functools.cache
def _copy_stream(device: torch.device) -> Any:
    return _module(device.type).Stream(device)


def _module(kind: str) -> Any:
    return torch.get_device_module(kind)
