"""Collective operations between training processes; no-ops for one process."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def n_processes() -> int:
    """Return how many train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """Return the sum of each value over all processes, without gradients."""
    total = values.detach().clone()
    if n_processes() > 1:
        dist.all_reduce(total)
    return total


def gathered(rows: Tensor, sizes: list[int]) -> Tensor:
    """Return the rows of all processes, in their order, with gradients to everybody's.

    Args:
        rows: (B, D) of this process.
        sizes: how many rows each process has.
    """
    return rows if n_processes() == 1 else _Gather.apply(rows, sizes)


def share_sizes(n_clips: int) -> list[int]:
    """Return how many clips of a batch each process has, when they are dealt out in turns."""
    count = n_processes()
    return [len(range(index, n_clips, count)) for index in range(count)]


def together(thing: Any) -> list[Any]:
    """Return what each process has, in their order."""
    if n_processes() == 1:
        return [thing]
    found: list[Any] = [None] * n_processes()
    dist.all_gather_object(found, thing)
    return found


def part() -> None:
    """Leave the others for good, once all have come here: from now on this process trains alone."""
    if n_processes() > 1:
        dist.barrier()
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Rows of all processes; backwards, each gets the sum of what all of them found for its own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].contiguous()
        dist.all_reduce(total)
        first = sum(ctx.sizes[: dist.get_rank()])
        return total[first : first + ctx.sizes[dist.get_rank()]], None
