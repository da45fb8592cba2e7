"""T5 v1.1 layers with fused attention, under the names of published weights.

References:
    Raffel et al. 2020, arXiv 1910.10683 (T5); Shazeer 2020, arXiv 2002.05202 (gated GELU).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.models.config import SonarT5Config

EPS = 1e-6


class T5LayerNorm(nn.Module):
    """Scale by the root mean square, computed in float32; no mean is subtracted and there is no bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, width)."""
        rms = x.float().square().mean(-1, keepdim=True).add(EPS).rsqrt()
        return self.weight * (x * rms).to(self.weight.dtype)


class T5Attention(nn.Module):
    """Multi-head attention without scaling and biases; the first self-attention of a stack holds the position bias."""

    def __init__(self, config: SonarT5Config, *, has_bias: bool, is_causal: bool = False) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.config, self.is_causal = config, is_causal
        self.q, self.k, self.v = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def forward(self, x: Tensor, memory: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Attend from (B, M, d_model) to itself or to (B, N, d_model).

        Args:
            x: the queries.
            memory: keys and values; None: the queries.
            bias: added to the scores, broadcastable to (B, heads, M, N).
        """
        memory = x if memory is None else memory
        if memory.shape[1] == 1 and not self.training:  # softmax over one key is 1: q and k are not needed
            return self.o(self.v(memory)).expand_as(x)
        query, key, value = self._heads(self.q(x)), self._heads(self.k(memory)), self._heads(self.v(memory))
        dropout = self.config.dropout_rate if self.training else 0.0
        bias = bias if bias is None else bias.to(query.dtype)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0)
        return self.o(found.transpose(1, 2).flatten(2))

    def position_bias(self, length: int) -> Tensor:
        """Return the learnt bias (1, heads, length, length) by distance; where causal, −inf for later keys."""
        places = torch.arange(length, device=self.relative_attention_bias.weight.device)
        distance = places[None, :] - places[:, None]
        buckets = relative_buckets(distance, self.config, is_causal=self.is_causal)
        bias = self.relative_attention_bias(buckets).permute(2, 0, 1)[None]
        return bias.masked_fill(distance > 0, -torch.inf) if self.is_causal else bias

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, heads · d_kv) → (B, heads, N, d_kv)."""
        return x.unflatten(-1, (self.config.num_heads, self.config.d_kv)).transpose(1, 2)


def relative_buckets(distance: Tensor, config: SonarT5Config, *, is_causal: bool) -> Tensor:
    """Return the bucket of each distance (key − query, int64): exact when near, logarithmic farther away.

    Reference:
        Raffel et al. 2020, section 2.1.
    """
    n_buckets, offset = config.relative_attention_num_buckets, torch.zeros_like(distance)
    if is_causal:
        distance = (-distance).clamp(min=0)
    else:
        n_buckets //= 2
        offset = (distance > 0) * n_buckets
        distance = distance.abs()
    exact = n_buckets // 2
    share = (distance.clamp(min=1).float() / exact).log() / math.log(config.relative_attention_max_distance / exact)
    far = (exact + share * (n_buckets - exact)).long().clamp(max=n_buckets - 1)
    return offset + torch.where(distance < exact, distance, far)


class _Residual(nn.Module):
    """``x + dropout(layer(norm(x)))``."""

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__()
        self.layer_norm = T5LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout_rate)


class SelfAttentionLayer(_Residual):
    """Attention of a sequence to itself."""

    def __init__(self, config: SonarT5Config, *, has_bias: bool, is_causal: bool) -> None:
        super().__init__(config)
        self.has_bias = has_bias
        self.SelfAttention = T5Attention(config, has_bias=has_bias, is_causal=is_causal)

    def forward(self, x: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the states, and the bias of the later layers.

        Args:
            x: (B, N, d_model).
            bias: for the first layer that of the mask, (B, 1, 1 or N, N), or None; for others (B or 1, heads, N, N).
        """
        if self.has_bias:
            positions = self.SelfAttention.position_bias(x.shape[1])
            bias = positions if bias is None else positions + bias
        return finite(x + self.dropout(self.SelfAttention(self.layer_norm(x), bias=bias))), cast(Tensor, bias)


class CrossAttentionLayer(_Residual):
    """Attention of a decoder to the encoder's states."""

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__(config)
        self.EncDecAttention = T5Attention(config, has_bias=False)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
        """(B, M, d_model), (B, N, d_model), bias (B, 1, 1, N) → (B, M, d_model)."""
        return finite(x + self.dropout(self.EncDecAttention(self.layer_norm(x), memory, bias)))


class GatedFeedForward(nn.Module):
    """``wo(gelu(wi_0 x) ⊙ wi_1 x)``; ``wo`` may be of a wider type than the rest."""

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d_model) → (B, N, d_model)."""
        hidden = self.dropout(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))
        wide = self.wo.weight.dtype
        # Where it is wider it is so for its range, from which autocast would take it again.
        keep = nullcontext() if wide == self.wi_0.weight.dtype else torch.autocast(x.device.type, enabled=False)
        with keep:
            return self.wo(hidden.to(wide))


class FeedForwardLayer(_Residual):
    """The feed-forward half of a block."""

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__(config)
        self.DenseReluDense = GatedFeedForward(config)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d_model) → (B, N, d_model)."""
        return finite(x + self.dropout(self.DenseReluDense(self.layer_norm(x))))


class T5Block(nn.Module):
    """Self-attention, in a decoder attention to the encoder's states, and a feed-forward layer."""

    def __init__(self, config: SonarT5Config, *, is_decoder: bool, has_bias: bool) -> None:
        super().__init__()
        crossing = [CrossAttentionLayer(config)] if is_decoder else []
        attending = SelfAttentionLayer(config, has_bias=has_bias, is_causal=is_decoder)
        parts = [attending, *crossing, FeedForwardLayer(config)]
        self.layer = nn.ModuleList(parts)

    def forward(
        self, x: Tensor, bias: Tensor | None, memory: Tensor | None = None, memory_bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the (B, M, d_model) states, and the bias of the later blocks; in a decoder, ``memory`` is read."""
        x, bias = self.layer[0](x, bias)
        if memory is not None:
            x = self.layer[1](x, memory, memory_bias)
        return self.layer[-1](x), cast(Tensor, bias)


class T5Stack(nn.Module):
    """The blocks of an encoder or a decoder, and the norm behind them.

    Args:
        config: the shape.
        embed_tokens: the token embedding, shared between the stacks.
        is_decoder: it attends to an encoder's states, and each position only to itself and earlier ones.
    """

    def __init__(self, config: SonarT5Config, embed_tokens: nn.Embedding, *, is_decoder: bool) -> None:
        super().__init__()
        n_blocks = config.num_decoder_layers if is_decoder else config.num_layers
        self.embed_tokens = embed_tokens
        self.block = nn.ModuleList(
            T5Block(config, is_decoder=is_decoder, has_bias=index == 0) for index in range(n_blocks)
        )
        self.final_layer_norm = T5LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.is_decoder = is_decoder

    def forward(
        self, x: Tensor, mask: Tensor | None = None, memory: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Return the (B, N, d_model) states of embedded inputs.

        Args:
            x: (B, N, d_model), or (B, N) int64 tokens to embed.
            mask: (B, N) bool, True = real; None: all are.
            memory: a decoder's (B, M, d_model) encoder states.
            memory_mask: (B, M) bool, True = real; None: all are.
        """
        x = x if x.is_floating_point() else self.embed_tokens(x)
        bias = None if mask is None else mask_bias(mask)
        memory_bias = None if memory_mask is None else mask_bias(memory_mask)
        x = self.dropout(x)
        for block in self.block:
            x, bias = block(x, bias, memory, memory_bias)
        return self.dropout(self.final_layer_norm(x))


def mask_bias(mask: Tensor) -> Tensor:
    """(B, N) bool, True = real → (B, 1, 1, N) float32, 0 at real positions and −inf elsewhere."""
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)[:, None, None]


def finite(x: Tensor) -> Tensor:
    """Keep float16 states within their range: some published T5 weights leave it."""
    if x.dtype != torch.float16:
        return x
    largest = torch.finfo(x.dtype).max - 1000
    return x.clamp(-largest, largest)


@torch.no_grad()
def initialise(module: nn.Module, config: SonarT5Config) -> None:
    """Draw the weights of all T5 layers below ``module`` as T5 does: normal, with a deviation by their fan-in."""
    inner = config.num_heads * config.d_kv
    for part in module.modules():
        if isinstance(part, T5Attention):
            part.q.weight.normal_(std=(config.d_model * config.d_kv) ** -0.5)
            part.k.weight.normal_(std=config.d_model**-0.5)
            part.v.weight.normal_(std=config.d_model**-0.5)
            part.o.weight.normal_(std=inner**-0.5)
            if hasattr(part, "relative_attention_bias"):
                part.relative_attention_bias.weight.normal_(std=config.d_model**-0.5)
        elif isinstance(part, GatedFeedForward):
            part.wi_0.weight.normal_(std=config.d_model**-0.5)
            part.wi_1.weight.normal_(std=config.d_model**-0.5)
            part.wo.weight.normal_(std=config.d_ff**-0.5)
