"""Text decoder weights in int8: a quarter of the memory, several times the speed.

Each row of weights and of activations has its own scale, so a text does not depend on the other texts of its batch. The
kernels are torch's FBGEMM kernels for x86 processors.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.errors import UserError
from slt.models.cpu_kernels import is_linear, replace

MAX_VALUE = 127
MAX_PAIR_SUM = 128
"""Of two neighbours: processors without VNNI add two 8-bit products in 16 bits, which hold 255 × 128."""

MIN_SCALE = torch.finfo(torch.float32).tiny
ROWS_AT_ONCE = 256
EXCLUDED = ("encoder.*", "*.encoder_decoder_attn.q_proj", "*.encoder_decoder_attn.k_proj", "*.DenseReluDense.wo")
"""Layers that are not replaced: the text encoder; two that ``slt.text.single_context`` does not use; one whose dtype T5
reads."""

_ENGINE = "fbgemm"


def quantise(text: nn.Module) -> None:
    """Quantise the linear layers of a text decoder, including the output layer; it can no longer be trained or saved.

    Args:
        text: text decoder on the CPU, in any floating dtype, memory-mapped or not. Embedding tables and the text
            encoder keep their dtype.

    Raises:
        UserError: this processor or this build of torch has no int8 kernels.
    """
    if _ENGINE not in torch.backends.quantized.supported_engines:
        raise UserError("found no int8 kernels, expected an x86 processor", fix="give --text-dtype bfloat16")
    chosen = {
        name: part
        for name, part in text.named_modules()
        if is_linear(part) and not any(fnmatchcase(name, pattern) for pattern in EXCLUDED)
    }
    # Packing uses one thread per weight and releases the GIL.
    with warnings.catch_warnings(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor")  # torch 2.15 announces their removal
        made = dict(zip(chosen, pool.map(Int8Linear, chosen.values()), strict=True))
    replace(text, lambda name, part: made.get(name, part))


class Int8Linear(nn.Module):
    """Linear layer with int8 weights that replaces one on the CPU."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.bias: nn.Parameter | None = linear.bias
        self.packed = _pack(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, K) → (…, N) float32."""
        x = x.float()
        # The kernel has one scale for all activations; scaling each row's maximum to 1 gives one scale per row.
        scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=MIN_SCALE)
        zero, step = (128, 1 / 127) if bool((x < 0).any()) else (0, 1 / 255)  # unsigned after a ReLU
        kernel = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        found: Tensor = kernel(x / scale, step, zero, self.packed) * scale
        return found if self.bias is None else found + self.bias.float()


@torch.no_grad()
def _pack(weight: Tensor) -> Any:
    """Return an (N, K) weight quantised and packed for FBGEMM."""
    rounded = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight))
    for start in range(0, len(weight), ROWS_AT_ONCE):
        rows = weight[start : start + ROWS_AT_ONCE].float()
        size = rows.abs()
        even, odd = size[:, 0::2], F.pad(size[:, 1::2], (0, size.shape[1] % 2))
        scale = torch.maximum(size.amax(1) / MAX_VALUE, (even + odd).amax(1) / MAX_PAIR_SUM).clamp(min=MIN_SCALE)
        scales[start : start + ROWS_AT_ONCE] = scale
        rounded[start : start + ROWS_AT_ONCE] = (rows / scale[:, None]).round_()
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    return torch.ops.quantized.linear_prepack(
        torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0), None
    )
