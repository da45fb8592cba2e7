"""Parts of sequence encoders: position embeddings, pre-norm transformer layers, masked mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_PERIOD = 10_000.0


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Return (N, width) sinusoidal embeddings of (N,) positions: sines, then cosines; wavelengths 2π to 20,000π steps.

    Reference: Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    exponents = torch.arange(0, width, 2, device=positions.device) * (-math.log(MAX_PERIOD) / width)
    angles = positions.float()[:, None] * exponents.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Return the (B, D) mean over the real steps of (B, N, D); the (B, N) mask is True where real."""
    return sequence.masked_fill(~mask[:, :, None], 0).sum(1) / mask.sum(1, keepdim=True)


class Layer(nn.Module):
    """Pre-norm transformer layer: self-attention, then a feed-forward network, both with residual connections.

    Args:
        d_model: width.
        num_heads: attention heads.
        d_ff: inner width of the feed-forward network.
        dropout_rate: on each residual branch and inside the feed-forward network.

    Reference: Xiong et al. 2020, arXiv 2002.04745 (pre-norm).
    """

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout_rate: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, d_ff),
            nn.GELU(),
            nn.Dropout(dropout_rate),
            nn.Linear(d_ff, d_model),
        )
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) finite states and the (B, N) mask, True = real → (B, N, D)."""
        heads = self.qkv(self.attention_norm(sequence)).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, H, D/H)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        sequence = sequence + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        added: Tensor = self.dropout(self.feed_forward(sequence))
        return sequence + added


class Stack(nn.Module):
    """Position embeddings, ``n_layers`` layers and a final norm."""

    def __init__(self, n_layers: int, d_model: int, num_heads: int, d_ff: int, dropout_rate: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(d_model, num_heads, d_ff, dropout_rate) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) finite states and the (B, N) mask, True = real → (B, N, D)."""
        steps = torch.arange(sequence.shape[1], device=sequence.device)
        sequence = self.dropout(sequence + sinusoids(steps, sequence.shape[2]).to(sequence.dtype))
        for layer in self.layers:
            sequence = layer(sequence, mask)
        normed: Tensor = self.norm(sequence)
        return normed
