"""A decoder that attends to a sentence embedding: there is one thing to attend to, so what it sees is known at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn


class Seen:
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


def attend_once(decoder: nn.Module) -> None:
    """Let every attention to the embedding be computed once per search instead of at every step.

    Softmax over one key is 1 whatever is asked, so attention is ``output(value(embedding))``: exactly, and neither
    queries nor keys are needed, whose mapped weights then are never read. While training nothing changes.
    """
    for name, attention in decoder.named_modules():
        if name.endswith("encoder_decoder_attn"):
            attention.forward = partial(_attend, attention)


def _attend(attention: Any, seqs: Tensor, *others: Any, state_bag: Any = None, **named: Any) -> Tensor:
    """Stand in for fairseq2's attention: queries (N, S, D), then their layout, keys, layout of keys, values."""
    values: Tensor = named["values"]
    if attention.training or state_bag is None or values.shape[1] != 1:
        found: Tensor = type(attention).forward(attention, seqs, *others, state_bag=state_bag, **named)
        return found
    seen = state_bag.maybe_get_state(attention, Seen)
    if seen is None:
        seen = Seen(attention.output_proj(attention.v_proj(values)))
        state_bag.set_state(attention, seen)
    return seen.value.expand(-1, seqs.shape[1], -1)
