"""Matrix products on a CPU: by the faster of torch's libraries, and in float32 where half precision would be slow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS_AT_ONCE = 2**22
"""How many weights in half precision are widened at a time: 16 MB, which a cache can hold until they are used."""

_WORTH_IT = 2**22  # multiplications, below which the call itself is what costs
_NOTHING_MORE: tuple[Any, ...] = ("none", [], "")  # after the product


def has_half(dtype: torch.dtype) -> bool:
    """Return whether this CPU has instructions for products in ``dtype``; without, torch is slower than in float32."""
    if dtype == torch.bfloat16:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    if dtype == torch.float16:
        return bool(torch.cpu._is_amx_fp16_supported())
    return True


def linears(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield all parts, with their names, that are ``x Wᵀ + b`` and nothing else, torch's own and fairseq2's."""
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear) or {"input_dim", "output_dim", "weight"} <= {*vars(part), *part._parameters}:
            yield name, part


def settle_on_cpu(module: nn.Module) -> None:
    """Let a model that lies on this CPU compute as fast as it can there, with results that differ in rounding alone.

    In float32 large products go to oneDNN, which for the few rows of a text search takes half the time of the
    library that torch asks by itself. In half precision without instructions for it, weights of products and tables
    stay as they are, a mapped file maybe; they are widened in use, and all arithmetic is in float32: rounding the
    weights is the only loss. With such instructions nothing changes. While gradients are recorded torch computes as
    always.
    """
    dtypes = {value.dtype for value in module.parameters()}
    if any(not has_half(dtype) for dtype in dtypes):
        _widen(module)
    elif dtypes != {torch.float32}:
        return
    for _, part in linears(module):
        part.forward = partial(_product, part)


def _widen(module: nn.Module) -> None:
    """Make every parameter float32 but those that ``_product`` and ``_look_up`` widen in use."""
    narrow = {id(part.weight) for _, part in linears(module)}
    for part in module.modules():
        if hasattr(part, "num_embeddings"):
            part.forward = partial(_look_up, part)
            narrow.add(id(part.weight))
    for value in (*module.parameters(), *module.buffers()):
        if id(value) not in narrow and value.is_floating_point():
            value.data = value.data.float()


def _look_up(part: Any, indices: Tensor) -> Tensor:
    return F.embedding(indices, part.weight).float()


def _product(part: Any, x: Tensor) -> Tensor:
    return multiply(x.float(), part.weight, part.bias)


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
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
        product = torch.cat([multiply(x, piece.float(), None) for piece in pieces], dim=-1)
        return product if bias is None else product + bias
    if x.numel() * len(weight) < _WORTH_IT or not torch.backends.mkldnn.is_available():
        return F.linear(x, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *_NOTHING_MORE)
    return found
