"""Matrix products on a CPU: the faster library, and float32 where half precision is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

WEIGHTS_AT_ONCE = 2**22
"""Half-precision weights converted to float32 at a time: 16 MB, which fits into a cache."""

_MIN_MULTIPLICATIONS = 2**22  # for fewer, the call overhead dominates
_NO_POINTWISE_OP: tuple[Any, ...] = ("none", [], "")


def is_native_dtype(dtype: torch.dtype) -> bool:
    """Return whether this CPU has matrix instructions for ``dtype``; without them torch is slower than in float32."""
    if dtype == torch.bfloat16:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    if dtype == torch.float16:
        return bool(torch.cpu._is_amx_fp16_supported())
    return True


class CpuLinear(nn.Module):
    """Linear layer computed in float32 that replaces one of torch or fairseq2 and shares its parameters."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.weight: nn.Parameter = linear.weight
        self.bias: nn.Parameter | None = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, K) in any floating dtype → (…, N)."""
        return cpu_linear(x.float(), self.weight, self.bias)


class CpuEmbedding(nn.Module):
    """Embedding with float32 output that replaces one of torch or fairseq2 and shares its parameter."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self.weight: nn.Parameter = embedding.weight

    def forward(self, indices: Tensor) -> Tensor:
        """(…) int64 → (…, D) float32."""
        return F.embedding(indices, self.weight).float()


def is_linear(part: nn.Module) -> bool:
    """Return whether a module is a plain linear layer of torch, fairseq2 or this file."""
    if isinstance(part, NonDynamicallyQuantizableLinear):
        return False  # torch's attention reads its weight and never calls it
    own = {*vars(part), *part._parameters}
    return isinstance(part, (nn.Linear, CpuLinear)) or {"input_dim", "output_dim", "weight", "bias"} <= own


def is_embedding(part: nn.Module) -> bool:
    """Return whether a module is a plain embedding of torch, fairseq2 or this file."""
    if isinstance(part, nn.Embedding):
        return type(part) is nn.Embedding  # mBART's subclasses scale the output or compute positions
    return isinstance(part, CpuEmbedding) or hasattr(part, "num_embeddings")


def replace(module: nn.Module, change: Callable[[str, nn.Module], nn.Module]) -> None:
    """Replace every submodule by ``change(name, submodule)``."""
    for name, owner in list(module.named_modules()):
        for leaf, part in list(owner.named_children()):
            if (changed := change(f"{name}.{leaf}".lstrip("."), part)) is not part:
                setattr(owner, leaf, changed)


def use_cpu_kernels(module: nn.Module) -> None:
    """Replace layers of a model on this CPU by faster equivalents; results differ by rounding only.

    In float32, large products use oneDNN, which takes half the time of torch's default library for the few rows of a
    beam search. In half precision without native instructions, weights of linear layers and embeddings stay in half
    precision (possibly memory-mapped) and are converted on use; all arithmetic is in float32. With native instructions
    nothing changes. While gradients are recorded, torch's default is used.
    """
    dtypes = {value.dtype for value in module.parameters()}
    is_slow = any(not is_native_dtype(dtype) for dtype in dtypes)
    if not is_slow and dtypes != {torch.float32}:
        return
    replace(module, lambda _, part: CpuLinear(part) if is_linear(part) else part)
    replace(module, lambda _, part: CpuEmbedding(part) if is_embedding(part) else part)
    converting = [part for part in module.modules() if isinstance(part, (CpuLinear, CpuEmbedding))]
    others = [part for part in module.modules() if not isinstance(part, (CpuLinear, CpuEmbedding))]
    half = {id(part.weight) for part in converting} - {id(one) for part in others for one in part._parameters.values()}
    for value in (*module.parameters(), *module.buffers()):
        if id(value) not in half and value.is_floating_point():
            value.data = value.data.float()


def cpu_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x Wᵀ + b``, (…, N) float32.

    Args:
        x: (…, K) float32.
        weight: (N, K) float32, bfloat16 or float16.
        bias: (N,) float32, or None.
    """
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight.to(x.dtype), bias)
    if weight.dtype != x.dtype:
        pieces = weight.split(max(1, WEIGHTS_AT_ONCE // weight.shape[1]))
        product = torch.cat([cpu_linear(x, piece.float(), None) for piece in pieces], dim=-1)
        return product if bias is None else product + bias
    if x.numel() * len(weight) < _MIN_MULTIPLICATIONS or not torch.backends.mkldnn.is_available():
        return F.linear(x, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *_NO_POINTWISE_OP)
    return found
