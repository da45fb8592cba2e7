"""Weights of SONAR text models: old fairseq names and the shared embedding table.

Reference: the checkpoints released before fairseq2, whose control tokens are in another order than the tokenizer's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from slt.core.errors import UserError

EMBEDDING = {"decoder": "decoder_frontend.embed.weight", "encoder": "encoder_frontend.embed.weight"}
OUTPUT_TABLE = "final_proj.weight"

# Rows 0 to 3: formerly (start, padding, end, unknown), now (padding, unknown, start, end).
_OLD_ROWS = [1, 3, 0, 2]
_NO_WEIGHTS = {"version", "embed_positions._float_tensor"}
_IN_LAYER = {
    "self_attn.out_proj": "self_attn.output_proj",
    "encoder_attn.out_proj": "encoder_decoder_attn.output_proj",
    "encoder_attn_layer_norm": "encoder_decoder_attn_layer_norm",
    "encoder_attn": "encoder_decoder_attn",
    "fc1": "ffn.inner_proj",
    "fc2": "ffn.output_proj",
    "final_layer_norm": "ffn_layer_norm",
}


def fairseq2_weights(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return ``weights`` under fairseq2's names, with the rows of the control tokens in the tokenizer's order.

    sonar-space silently misconverts a decoder whose output table is a copy of its embedding, and converts no text
    encoder. Here the embedding is reordered, and the output table, which equals it, is dropped.

    Args:
        weights: flat state dict of the old or current layout.
        part: "encoder" or "decoder".

    Raises:
        UserError: the output table is not the embedding table.
    """
    old_layout = "embed_tokens.weight" in weights
    renamed = {_current_name(name, part) if old_layout else name: value for name, value in weights.items()}
    renamed = {name: value for name, value in renamed.items() if name.removeprefix(f"{part}.") not in _NO_WEIGHTS}
    embedding = renamed.get(EMBEDDING[part])
    if embedding is not None and not _same(renamed.pop(OUTPUT_TABLE, embedding), embedding):
        raise UserError(
            f"found {OUTPUT_TABLE} different from {EMBEDDING[part]}, expected them to be equal",
            fix="give the weights of a SONAR text decoder",
        )
    if embedding is not None and old_layout:
        renamed[EMBEDDING[part]] = torch.cat([embedding[_OLD_ROWS], embedding[4:]])
    return renamed


def _current_name(name: str, part: str) -> str:
    outside = {"embed_tokens.weight": EMBEDDING[part], "output_projection.weight": OUTPUT_TABLE}
    if name in outside:
        return outside[name]
    if not name.startswith("layers."):
        # The final norm is beside the encoder stack, but inside the decoder stack.
        return name if part == "encoder" else f"{part}.{name}"
    return current_layer_name(f"{part}.{name}")


def current_layer_name(name: str) -> str:
    """Return fairseq2's name of ``part.layers.N.…``; fairseq's names are also those of transformers."""
    part, layers, number, inside = name.split(".", 3)
    for old, new in _IN_LAYER.items():
        inside = re.sub(rf"^{re.escape(old)}(?=\.)", new, inside)
    return f"{part}.{layers}.{number}.{inside}"


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and (one.data_ptr() == other.data_ptr() or torch.equal(one, other))
