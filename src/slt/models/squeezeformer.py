"""The Squeezeformer block: attention, feed-forward, convolution, feed-forward.

Reference: Kim et al. 2022, arXiv 2206.00888. Two differences from the paper: no temporal U-Net, which makes 16 and more
blocks affordable on long recordings; here, few blocks process one sentence. The convolution's BatchNorm is a LayerNorm,
so that a clip's states depend neither on the other clips of the batch nor on padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.models.sequence import sinusoids


class Scale(nn.Module):
    """``scale ⊙ x + bias`` before each module of a post-norm block, for stable training (section 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, sequence: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        return self.scale * sequence + self.bias


class RelativeAttention(nn.Module):
    """Self-attention with relative position embeddings.

    Reference: Dai et al. 2019, arXiv 1901.02860, section 3.3.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.distance = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(num_heads, 1, width // num_heads))
        self.distance_bias = nn.Parameter(torch.zeros(num_heads, 1, width // num_heads))
        self.out = nn.Linear(width, width)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) and the (B, N) mask, True = real → (B, N, D)."""
        n = sequence.shape[1]
        heads = self.qkv(sequence).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, H, D/H)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        distances = torch.arange(n - 1, -n, -1, device=sequence.device)  # query step minus key step
        waves = sinusoids(distances, sequence.shape[2]).to(sequence.dtype)  # (2N-1, D)
        relative = self.distance(waves).unflatten(-1, (self.num_heads, -1)).transpose(0, 1)  # (H, 2N-1, D/H)
        by_distance = _by_step((query + self.distance_bias) @ relative.transpose(1, 2)) / query.shape[-1] ** 0.5
        scores = by_distance.masked_fill(~mask[:, None, None], -torch.inf)
        attended = F.scaled_dot_product_attention(query + self.content_bias, key, value, attn_mask=scores)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


class Convolution(nn.Module):
    """Depthwise convolution over time between two linear layers."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, width)
        self.depthwise = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) and the (B, N) mask, True = real → (B, N, D)."""
        inner = F.silu(self.into(sequence)).masked_fill(~mask[:, :, None], 0)  # zero padding after the clip
        inner = self.depthwise(inner.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.out(F.silu(self.norm(inner)))
        return out


class FeedForward(nn.Module):
    """Feed-forward network per time step."""

    def __init__(self, width: int, d_ff: int, dropout_rate: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, d_ff), nn.SiLU(), nn.Dropout(dropout_rate), nn.Linear(d_ff, width))

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D); the mask is not used."""
        out: Tensor = self.layers(sequence)
        return out


class Block(nn.Module):
    """One block in the order MF/CF (figure 2 of the paper).

    Args:
        width: width of the states.
        num_heads: attention heads.
        d_ff: inner width of the feed-forward layers.
        kernel_size: kernel of the convolution in time steps; odd.
        dropout_rate: on each residual branch and inside the feed-forward layers.
    """

    def __init__(self, width: int, num_heads: int, d_ff: int, kernel_size: int, dropout_rate: float) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [
                RelativeAttention(width, num_heads),
                FeedForward(width, d_ff, dropout_rate),
                Convolution(width, kernel_size),
                FeedForward(width, d_ff, dropout_rate),
            ]
        )
        self.scales = nn.ModuleList(Scale(width) for _ in self.parts)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.parts)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) finite states and the (B, N) mask, True = real → (B, N, D)."""
        for part, scale, norm in zip(self.parts, self.scales, self.norms, strict=True):
            sequence = norm(sequence + self.dropout(part(scale(sequence), mask)))
        return sequence


def _by_step(by_distance: Tensor) -> Tensor:
    """Convert scores by distance into scores by key (relative shift).

    Args:
        by_distance: (B, H, N, 2N-1); column c is distance N-1-c.

    Returns:
        (B, H, N, N); entry (i, j) is distance i-j.
    """
    n = by_distance.shape[2]
    shifted = (
        F.pad(by_distance, (1, 0)).flatten(2).unflatten(-1, (2 * n, n))[:, :, 1:]
    )  # each row is shifted by one more step
    return shifted.flatten(2).unflatten(-1, (n, 2 * n - 1))[..., :n]
