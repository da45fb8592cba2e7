"""Cross-attention to a single context vector, computed without attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from slt.models.swap import SwappedModule


class ContextState:
    """Attention output per hypothesis, stored in fairseq2's incremental state.

    Attributes:
        value: (N, 1, model_dim) float.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def reorder(self, new_order: Tensor) -> None:
        """Select the rows ``new_order``, (M,) int64."""
        self.value = self.value.index_select(0, new_order)

    def size_bytes(self) -> int:
        """Return the size in bytes."""
        return self.value.nbytes

    capacity_bytes = size_bytes


class SingleContextAttention(SwappedModule):
    """fairseq2's cross-attention, computed once per search if the encoder output has one time step.

    Softmax over one key is 1, so attention equals ``output(value(embedding))`` exactly, and the query and key weights
    are never read. Training uses the original module.
    """

    def forward(self, seqs: Tensor, *others: Any, state_bag: Any = None, **named: Any) -> Tensor:
        """Attend from (N, S, D) ``seqs`` to (N, 1, D) ``values``; other arguments as in fairseq2."""
        values: Tensor = named["values"]
        if self.training or state_bag is None or values.shape[1] != 1:
            found: Tensor = self.original(seqs, *others, state_bag=state_bag, **named)
            return found
        state = state_bag.maybe_get_state(self, ContextState)
        if state is None:
            parts: Any = self
            state = ContextState(parts.output_proj(parts.v_proj(values)))
            state_bag.set_state(self, state)
        return state.value.expand(-1, seqs.shape[1], -1)


def use_single_context_attention(decoder: nn.Module) -> None:
    """Replace every attention to the embedding in a decoder by ``SingleContextAttention``."""
    for layer in list(decoder.modules()):
        attention = getattr(layer, "encoder_decoder_attn", None)
        if isinstance(attention, nn.Module) and not isinstance(attention, SingleContextAttention):
            layer.encoder_decoder_attn = SingleContextAttention(attention)
