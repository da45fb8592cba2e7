"""A text decoder whose weights are whole numbers of eight bits: a quarter of the memory, several times the speed.

Each row of a weight has a scale of its own, and so has each row of activations, so that a text does not depend on
what it shares a search with. The products are FBGEMM's, which come with torch, on any x86 processor.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from slt.errors import UserError
from slt.models.compute import linears

LARGEST = 127
LEFT = ("encoder.*", "*.encoder_decoder_attn.q_proj", "*.encoder_decoder_attn.k_proj")
"""Products that are not replaced; the last two are not used, see ``slt.text.one_step``."""

_ENGINE = "fbgemm"


def quantise(text: nn.Module) -> None:
    """Replace the products of a text decoder, its vocabulary's among them; it can no longer be trained or saved.

    Args:
        text: on the CPU, its weights in any floating dtype, mapped or not. A table that is also looked up in stays
            for that; so does a text encoder, whose embeddings are compared with others.

    Raises:
        UserError: this processor, or this torch, has no such products.
    """
    if _ENGINE not in torch.backends.quantized.supported_engines:
        raise UserError("int8 needs an x86 processor", fix="give --text-dtype bfloat16")
    tables = {id(part.get_parameter("weight")) for part in text.modules() if hasattr(part, "num_embeddings")}
    chosen = [part for name, part in linears(text) if not any(fnmatchcase(name, pattern) for pattern in LEFT)]
    # Packing is done by one thread per weight, and lets go of the interpreter meanwhile.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for part, packed in zip(chosen, pool.map(_pack, chosen), strict=True):
            part.forward = partial(_product, packed, part.bias)
            if id(part.weight) not in tables:
                part.weight = nn.Parameter(torch.empty(0), requires_grad=False)


@torch.no_grad()
def _pack(part: Any) -> Any:
    """Return the (N, K) weight of a product, rounded and in the order FBGEMM reads it."""
    weight = part.weight.float()
    scales = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny).double() / LARGEST
    rounded = torch.quantize_per_channel(weight, scales, torch.zeros_like(scales, dtype=torch.int64), 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(rounded, None)


def _product(packed: Any, bias: Tensor | None, x: Tensor) -> Tensor:
    """(…, K) → (…, N) float32."""
    x = x.float()
    # The kernel has one scale for all activations; with every row brought to -1..1, it is each row's own.
    scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    # Of seven bits: on processors without VNNI the sum of two products of eight would not fit.
    found = torch.ops.quantized.linear_dynamic(x / scale, packed, reduce_range=True) * scale
    return found if bias is None else found + bias
