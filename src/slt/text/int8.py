"""Text decoder weights in int8: a quarter of the memory, several times the speed.

Each row of a weight has a scale of its own, and so has each row of activations, so that a text does not depend on
what it shares a search with. The products are FBGEMM's, which come with torch, on any x86 processor.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.errors import UserError
from slt.models.cpu_kernels import is_linear, replace

LARGEST = 127
LARGEST_PAIR = 128
"""Of two neighbours: processors without VNNI add two products of eight bits in sixteen, and 255 × 128 is what fits."""

SMALLEST = torch.finfo(torch.float32).tiny
ROWS_AT_ONCE = 256
EXCLUDED = ("encoder.*", "*.encoder_decoder_attn.q_proj", "*.encoder_decoder_attn.k_proj", "*.DenseReluDense.wo")
"""Products that are not replaced: ``slt.text.single_context`` says why the next two are not used; T5 asks for the
dtype of the last one's weight."""

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
    chosen = {
        name: part
        for name, part in text.named_modules()
        if is_linear(part) and not any(fnmatchcase(name, pattern) for pattern in EXCLUDED)
    }
    # Packing is done by one thread per weight, and lets go of the interpreter meanwhile.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        made = dict(zip(chosen, pool.map(Int8Linear, chosen.values()), strict=True))
    replace(text, lambda name, part: made.get(name, part))


class Int8Linear(nn.Module):
    """``x Wᵀ + b`` in whole numbers, in the place of a linear part on the CPU; its weight is no longer there."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.bias: nn.Parameter | None = linear.bias
        self.packed = _pack(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, K) → (…, N) float32."""
        x = x.float()
        # The kernel has one scale for all activations; with the largest of every row brought to 1, it is each row's.
        scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=SMALLEST)
        zero, step = (128, 1 / 127) if bool((x < 0).any()) else (0, 1 / 255)  # what comes out of a ReLU needs no sign
        kernel = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        found: Tensor = kernel(x / scale, step, zero, self.packed) * scale
        return found if self.bias is None else found + self.bias.float()


@torch.no_grad()
def _pack(weight: Tensor) -> Any:
    """Return an (N, K) weight rounded and in the order FBGEMM reads it."""
    rounded = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight))
    for start in range(0, len(weight), ROWS_AT_ONCE):
        rows = weight[start : start + ROWS_AT_ONCE].float()
        size = rows.abs()
        even, odd = size[:, 0::2], F.pad(size[:, 1::2], (0, size.shape[1] % 2))
        scale = torch.maximum(size.amax(1) / LARGEST, (even + odd).amax(1) / LARGEST_PAIR).clamp(min=SMALLEST)
        scales[start : start + ROWS_AT_ONCE] = scale
        rounded[start : start + ROWS_AT_ONCE] = (rows / scale[:, None]).round_()
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    return torch.ops.quantized.linear_prepack(
        torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0), None
    )
