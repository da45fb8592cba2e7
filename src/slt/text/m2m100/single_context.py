"""Cross-attention to a single context vector, computed without attention, for transformers' M2M100."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from slt.models.swap import SwappedModule


class SingleContextAttention(SwappedModule):
    """M2M100's cross-attention, computed once per search if the encoder output has one time step.

    Softmax over one key is 1, so attention equals ``out(value(embedding))`` exactly, and the query and key weights are
    never read. Training, and scoring without a cache, use the original module. See ``slt.text.single_context``.
    """

    def forward(self, hidden_states: Tensor, key_value_states: Tensor, **named: Any) -> tuple[Tensor, None]:
        """Attend from (N, S, D) to (N, 1, D); other arguments as in transformers."""
        cache = named.get("cache", named.get("past_key_values"))
        if self.training or cache is None or key_value_states.shape[1] != 1:
            return self.original(hidden_states, key_value_states, **named)
        layer, contexts = self.original.layer_idx, cache.cross_attention_cache
        if not cache.is_updated.get(layer):
            parts: Any = self
            context = parts.out_proj(parts.v_proj(key_value_states))[:, None]  # (N, 1, 1, D)
            contexts.update(context, context, layer)
            cache.is_updated[layer] = True
        return contexts.layers[layer].values[:, 0].expand(-1, hidden_states.shape[1], -1), None
