"""Build SONAR's models with the factories of ``sonar``, and load weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from slt.models.fitting import load_strict
from slt.text.config import SonarTextConfig, StackConfig
from slt.text.sonar.library import (
    ConditionalTransformerDecoderModel,
    SinusoidalPositionEncoder,
    SonarTextDecoderConfig,
    SonarTextDecoderFactory,
    SonarTextEncoderConfig,
    SonarTextEncoderFactory,
    SonarTextTransformerEncoderModel,
    VocabularyInfo,
    lean,
    positions_not_computed,
)


def create_decoder(config: SonarTextConfig, vocab_size: int) -> ConditionalTransformerDecoderModel:
    """Build sonar's text decoder, randomly initialised, on torch's default device."""
    settings = _settings(config.decoder, vocab_size)
    settings |= {
        "activation_fn": "ReLU",
        "no_scale_embedding": False,
        "no_token_positional_embeddings": False,
        "learned_pos": False,
        "normalize_before": True,
        "input_dim": config.encoder.model_dim,
    }
    return _built(SonarTextDecoderFactory(SonarTextDecoderConfig(**settings)))


def create_encoder(config: SonarTextConfig, vocab_size: int) -> SonarTextTransformerEncoderModel:
    """Build sonar's text encoder, randomly initialised, on torch's default device."""
    settings = _settings(config.encoder, vocab_size) | {"pooling": "mean", "_from_fairseq": True}
    return _built(SonarTextEncoderFactory(SonarTextEncoderConfig(**settings)))


def _built(factory: Any) -> Any:
    with lean(), positions_not_computed():
        model: nn.Module = factory.create_model()
    for child in model.modules():
        if isinstance(child, SinusoidalPositionEncoder) and not child.freqs.is_meta:
            child.reset_parameters()
    return model


def _settings(stack: StackConfig, vocab_size: int) -> dict[str, Any]:
    return {
        "model_dim": stack.model_dim,
        "max_seq_len": stack.max_seq_len,
        # The published models use padding id 1, though their tokenizer has 0: it shifts the positions.
        "vocab_info": VocabularyInfo(size=vocab_size, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=1),
        "num_encoder_layers": stack.num_layers,
        "num_decoder_layers": stack.num_layers,
        "num_encoder_attn_heads": stack.num_heads,
        "num_decoder_attn_heads": stack.num_heads,
        "ffn_inner_dim": stack.ffn_inner_dim,
        "emb_dropout_p": stack.dropout,
        "attention_dropout_p": stack.dropout,
        "activation_dropout_p": stack.dropout,
    }


def fill(module: nn.Module, weights: Mapping[str, Tensor], part: str, device: torch.device | str) -> None:
    """Load weights into a module built on the meta device, and compute its position encodings."""
    for child in module.modules():
        if isinstance(child, SinusoidalPositionEncoder):
            child.freqs = torch.empty(child.freqs.shape, dtype=child.freqs.dtype, device=device)
            child.reset_parameters()
    moved = {name: value.to(device) for name, value in weights.items()}
    load_strict(module, moved, source=f"these weights of a SONAR text {part}")
