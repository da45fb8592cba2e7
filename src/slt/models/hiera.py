"""The blocks of a Hiera: attention inside mask units or over all of them, and max pooling between stages.

Reference:
    Ryali et al. 2023, arXiv 2306.00989.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Triple: TypeAlias = tuple[int, int, int]  # time, height, width

EPS = 1e-6
MLP_RATIO = 4
INIT_STD = 0.02


class PoolingAttention(nn.Module):
    """Multi-head attention that widens its input and, at the begin of a stage, pools its queries.

    Args:
        dim: width of the input.
        dim_out: width of the output.
        n_heads: attention heads.
        n_pooled: consecutive groups of queries of which the largest value is taken; 1: no pooling.
    """

    def __init__(self, dim: int, dim_out: int, n_heads: int, n_pooled: int) -> None:
        super().__init__()
        self.n_heads, self.n_pooled = n_heads, n_pooled
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor, lengths: Sequence[int] = ()) -> Tensor:
        """(B, N, dim) → (B, N / n_pooled, dim_out); ``lengths`` as for ``HieraBlock``."""
        return self.proj(of_each_window(self._attend, self.qkv(x), lengths))

    def _attend(self, qkv: Tensor) -> Tensor:
        """(B, N, 3 · dim_out) → (B, N / n_pooled, dim_out)."""
        query, key, value = qkv.unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(pooled(query, self.n_pooled), key, value)  # (B, heads, N / n_pooled, d)
        return found.transpose(1, 2).flatten(2)


class Mlp(nn.Module):
    """The feed-forward half of a block."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(…, dim) → (…, dim)."""
        return self.fc2(F.gelu(self.fc1(x)))


class HieraBlock(nn.Module):
    """Attention and feed-forward with residuals; the first block of a stage has another width than its input.

    Args:
        dim: width of the input.
        dim_out: width of the output.
        n_heads: attention heads.
        n_pooled: tokens that become one.
    """

    def __init__(self, dim: int, dim_out: int, n_heads: int, n_pooled: int = 1) -> None:
        super().__init__()
        self.n_pooled = n_pooled
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = PoolingAttention(dim, dim_out, n_heads, n_pooled)
        self.norm2 = nn.LayerNorm(dim_out, eps=EPS)
        self.mlp = Mlp(dim_out)
        self.proj = nn.Linear(dim, dim_out) if dim != dim_out else None

    def forward(self, x: Tensor, lengths: Sequence[int] = ()) -> Tensor:
        """(B, N, dim) → (B, N / n_pooled, dim_out).

        Args:
            x: tokens.
            lengths: of the windows whose tokens stand one after the other in N, and that do not see one another; empty:
                all are one window's.
        """
        normed = self.norm1(x)
        if self.proj is not None:
            x = of_each_window(lambda part: pooled(part, self.n_pooled), self.proj(normed), lengths)
        x = x + self.attn(normed, lengths)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """A strided convolution over frames; one token per patch."""

    def __init__(self, dim: int, *, kernel: Triple, stride: Triple, padding: Triple) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, dim, kernel, stride, padding)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, T, H, W) → (B, patches, dim), row by row."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


def of_each_window(what: Callable[[Tensor], Tensor], x: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return what a function makes of the tokens of each window in (B, N, C); empty ``lengths``: of all at once."""
    return torch.cat([what(part) for part in x.split(list(lengths), 1)], 1) if lengths else what(x)


def pooled(x: Tensor, n: int) -> Tensor:
    """Return the largest of each ``n`` tokens N apart: (…, n · N, C) → (…, N, C)."""
    return x if n == 1 else x.unflatten(-2, (n, -1)).amax(-3)


def unrolled(units: Tensor, strides: Sequence[Sequence[int]]) -> Tensor:
    """Order the patches of mask units so that each later pooling is one over a leading dimension.

    Args:
        units: (B, height · width, C), row by row.
        strides: (height, width) of each pooling, first to last; their product is the unit's height and width.

    Returns:
        (B, height · width, C): the place within the first pooling's cell varies slowest.
    """
    n, last = len(strides), units.shape[-1]
    steps = [stride[axis] for axis in (0, 1) for stride in reversed(strides)]  # the last pooling's cells are largest
    order = [1 + axis * n + n - 1 - index for index in range(n) for axis in (0, 1)]
    return units.reshape(-1, *steps, last).permute(0, *order, 2 * n + 1).reshape(len(units), -1, last)


@torch.no_grad()
def initialise(blocks: Iterable[HieraBlock]) -> None:
    """Draw all weights as the authors do: narrow normal, and outputs of deeper blocks smaller."""
    for depth, block in enumerate(blocks, 1):
        for part in block.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=INIT_STD)
                nn.init.zeros_(part.bias)
        block.attn.proj.weight.div_(math.sqrt(2 * depth))
        block.mlp.fc2.weight.div_(math.sqrt(2 * depth))
