"""Fully sharded data parallelism (FSDP): weights divided over the training processes.

What is trained lies in shares, with its gradients and AdamW's averages; a layer is put together while it computes.
What is frozen lies whole in each process. Checkpoints are those of one process, and hold whole weights.

Reference: Zhao et al. 2023, arXiv 2304.11277; torch's ``fully_shard``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.export import register_dataclass
from torch.optim import Optimizer

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.train.lightning import ModelParallelStrategy
from slt.train.parts import outermost_layers

# Shares are put together when a gradient reaches a part's output, which torch looks for in what it knows to look into.
for kind in (EncoderOutput, FeatureBatch):
    register_dataclass(kind)


class Sharded(ModelParallelStrategy):
    """Lightning's strategy for modules that share out their own weights; its checkpoints are those of one process."""

    def __init__(self, processes: int) -> None:
        super().__init__(data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning hands the optimizer's state to ``load_optimizer_state_dict``."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return what training changes, whole; every process must ask."""
        return whole(self.lightning_module.trained_state())  # type: ignore[operator, union-attr]

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimizer's state, whole; every process must ask."""
        state = optimizer.state_dict()
        return {**state, "state": {index: whole(own) for index, own in state["state"].items()}}

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    @torch.no_grad()
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Shard over the processes the weights."""
        weights = self.lightning_module.trained_state()  # type: ignore[operator, union-attr]
        for name, weight in weights.items():
            weight.copy_(share_of(checkpoint["state_dict"][name], weight))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Shard over the processes the optimizer's state."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            shares = {
                index: {name: share_of(value, weights[index]) for name, value in own.items()}
                for index, own in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": shares})


def shard(part: nn.Module, mesh: DeviceMesh) -> None:
    """Share a part's weights out over the processes of ``mesh``: layer by layer, then what is left."""
    for layer in outermost_layers(part):
        fully_shard(layer, mesh=mesh)
    fully_shard(part, mesh=mesh)
    if hasattr(part, "loss"):
        register_fsdp_forward_method(part, "loss")  # what a decoder is asked in training, besides ``forward``


@contextmanager
def put_together(module: nn.Module) -> Iterator[None]:
    """Let each process hold all weights while the block runs, in which each may then do as much as it likes."""
    parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def whole(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors whole, on the CPU those that were shares, of which only the first process gets any numbers.

    Every process must ask, in the same order.
    """
    return {name: _whole(value) for name, value in tensors.items()}


def share_of(value: Any, like: Tensor) -> Any:
    """Return this process's share of a tensor, as it has one of ``like``; what is of another shape stays whole."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _whole(value: Any) -> Any:
    if not isinstance(value, DTensor):
        return value
    full = value.full_tensor().detach()
    return full.cpu() if dist.get_rank() == 0 else full.new_empty(0)
