"""Tiny text decoders of transformers at random, and what sign encoders might give them."""

from __future__ import annotations

from typing import Any

import torch

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.folder import new_decoder

TEXTS = ("the weather is nice today", "we go hiking in the mountains", "das Wetter ist heute schön")
_T5: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
_BART: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "init_std": 0.5,  # surer of itself than at 0.02, so that texts differ
}
SHAPES: dict[str, dict[str, Any]] = {"t5": _T5, "mt5": _T5, "byt5": _T5, "mbart": _BART, "nllb": _BART}
KINDS = tuple(SHAPES)
_ONE, _TWO = ("eng_Latn",), ("eng_Latn", "deu_Latn")
LANGS = {"t5": _ONE, "mt5": _ONE, "byt5": _ONE, "mbart": _TWO, "nllb": _TWO}
WIDTH = 8


def make_text(kind: str, **changed: Any) -> HfText:
    """Make one, the same each time, in evaluation mode."""
    torch.manual_seed(0)
    settings = {"feature_dim": WIDTH, "languages": LANGS[kind], "model": SHAPES[kind], **changed}
    return new_decoder(TEXTS, 60, HfTextConfig(kind=kind, **settings)).eval()  # type: ignore[arg-type]


def make_output(*lengths: int, seed: int = 1) -> EncoderOutput:
    """Return what an encoder might for clips of these lengths; padding is NaN, which must not matter."""
    torch.manual_seed(seed)
    clips = [torch.randn(n, WIDTH) for n in lengths]
    batch = FeatureBatch.of(clips)
    padding = ~batch.mask[:, :, None]
    return EncoderOutput(
        sentence=torch.randn(len(lengths), WIDTH),
        sequence=batch.features.masked_fill(padding, torch.nan),
        mask=batch.mask,
    )


def alone(output: EncoderOutput, place: int) -> EncoderOutput:
    """Return one clip of a batch by itself, without padding."""
    n = int(output.mask[place].sum())
    return EncoderOutput(
        sentence=output.sentence[place : place + 1],
        sequence=output.sequence[place : place + 1, :n],
        mask=output.mask[place : place + 1, :n],
    )
