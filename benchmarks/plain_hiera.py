"""SignHiera the plain way: unfused attention, padding computed and masked; the baseline of features.

The weights and the order of tokens are those of ``slt.models.signhiera``. Attention matrices are written out, and the
padded time steps of a window go through all blocks, as in the public pipeline.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from slt.models.hiera import HieraBlock, PoolingAttention, pooled
from slt.models.signhiera import SignHiera


class PlainHiera:
    """The plain way with the weights of a model."""

    def __init__(self, model: SignHiera) -> None:
        self.model, self.config = model, model.config

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, padding: Tensor) -> list[Tensor]:
        """Compute features of B windows.

        Args:
            pixels: (B, 3, T, H, W) float.
            padding: (B,) int64, padding frames at the end of each window.

        Returns:
            of each window (N, feature_dim), without padded rows.
        """
        rows = self.config.rows_per_window - padding // self.config.patch_stride[0]
        features = self.features(pixels, rows.to(pixels.device))
        return [one[:n] for one, n in zip(features, rows.tolist(), strict=True)]

    def features(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """(B, 3, T, H, W), (B,) real rows → (B, rows of a window, feature_dim); padded rows mean nothing."""
        config, model, steps = self.config, self.model, self.config.rows_per_window
        real = torch.arange(steps, device=pixels.device) < rows[:, None]  # (B, steps)
        frames = real.repeat_interleave(config.patch_stride[0], 1)[:, None, :, None, None]
        patches = model.patch_embed(pixels.masked_fill(~frames, 0))
        tokens = model._into_units(patches + model._positions(steps))
        for block in model.blocks[: model.n_unit_blocks]:
            tokens = plain_block(cast(HieraBlock, block), tokens, None)
        tokens = tokens.unflatten(0, (len(pixels), -1)).transpose(1, 2)  # (B, tokens per unit, units, C)
        # Tokens of a unit come strides first, so the mask of the units repeats.
        keys = real.repeat_interleave(config.units_per_row, 1).repeat(1, tokens.shape[1])
        tokens = tokens.flatten(1, 2)
        for block in model.blocks[model.n_unit_blocks :]:
            tokens = plain_block(cast(HieraBlock, block), tokens, keys)
            keys = keys[:, : tokens.shape[1]]  # pooling takes the largest of repetitions
        return tokens.unflatten(1, (-1, steps, config.units_per_row)).mean((1, 3))


def plain_block(block: HieraBlock, x: Tensor, keys: Tensor | None) -> Tensor:
    """Run one block on (B, N, C) with unfused attention; ``keys`` (B, N) bool, True = real."""
    normed = block.norm1(x)
    if block.proj is not None:
        x = pooled(block.proj(normed), block.n_pooled)
    x = x + plain_attention(block.attn, normed, keys)
    return x + block.mlp(block.norm2(x))


def plain_attention(attention: PoolingAttention, x: Tensor, keys: Tensor | None) -> Tensor:
    """(B, N, C) → (B, N / n_pooled, C'), all scores in memory at once."""
    query, key, value = attention.qkv(x).unflatten(-1, (3, attention.n_heads, -1)).permute(2, 0, 3, 1, 4)
    query = pooled(query, attention.n_pooled)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if keys is not None:
        scores = scores.masked_fill(~keys[:, None, None], -torch.inf)
    found = scores.softmax(-1) @ value
    return attention.proj(found.transpose(1, 2).flatten(2))
