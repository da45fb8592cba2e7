"""Cross-attention to a single context vector, computed without attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from slt.models.swap import SwappedModule


class ContextState:
    """What each row of a search sees, in the state of the search, which keeps it in the order of its rows.

    Attributes:
        value: (N, 1, model_dim).
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def reorder(self, new_order: Tensor) -> None:
        """Keep the rows ``new_order``, (M,) int64."""
        self.value = self.value.index_select(0, new_order)

    def size_bytes(self) -> int:
        """Return its size."""
        return self.value.nbytes

    capacity_bytes = size_bytes


class SingleContextAttention(SwappedModule):
    """fairseq2's attention to an encoder's output, computed once per search where that is one step long.

    Softmax over one key is 1 whatever is asked, so attention is ``output(value(embedding))``: exactly, and neither
    queries nor keys are needed, whose mapped weights then are never read. While training nothing changes.
    """

    def forward(self, seqs: Tensor, *others: Any, state_bag: Any = None, **named: Any) -> Tensor:
        """Attend from (N, S, D) to ``values``, (N, 1, D), among fairseq2's other arguments."""
        values: Tensor = named["values"]
        if self.training or state_bag is None or values.shape[1] != 1:
            found: Tensor = self.original(seqs, *others, state_bag=state_bag, **named)
            return found
        seen = state_bag.maybe_get_state(self, ContextState)
        if seen is None:
            parts: Any = self
            seen = ContextState(parts.output_proj(parts.v_proj(values)))
            state_bag.set_state(self, seen)
        return seen.value.expand(-1, seqs.shape[1], -1)


def use_single_context_attention(decoder: nn.Module) -> None:
    """Replace every attention to the embedding in a decoder by ``SingleContextAttention``."""
    for layer in list(decoder.modules()):
        attention = getattr(layer, "encoder_decoder_attn", None)
        if isinstance(attention, nn.Module) and not isinstance(attention, SingleContextAttention):
            layer.encoder_decoder_attn = SingleContextAttention(attention)
