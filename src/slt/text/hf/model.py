"""Model, bridge and loss of a transformers text decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.generation.configuration_utils import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding

from slt.core.registry import T5_FAMILY
from slt.text.hf.config import HfTextConfig
from slt.text.hf.kinds import KINDS, new_model
from slt.text.hf.tokens import Tokens

IGNORED = -100
"""Target id of positions without a prediction."""


class Projection(nn.Sequential):
    """Bridge of the T5 family: projects to the width of its token embeddings, which its encoder then processes."""

    def __init__(self, feature_dim: int, d_model: int, dropout: float) -> None:
        super().__init__(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, d_model), nn.Dropout(dropout))


class LinearBridge(nn.Sequential):
    """Uni-Sign's bridge: one linear layer."""

    def __init__(self, feature_dim: int, d_model: int, dropout: float) -> None:
        super().__init__(nn.Linear(feature_dim, d_model))


class Adapter(nn.Sequential):
    """Bridge of an mBART or NLLB: a two-layer MLP from the sign encoder's states to the decoder's context."""

    def __init__(self, feature_dim: int, d_model: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(feature_dim, d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_model, d_model),
            nn.LayerNorm(d_model),  # as at the end of mBART's own encoder
        )


def make_bridge(config: HfTextConfig, d_model: int) -> nn.Module:
    """Build the bridge to a model of width ``d_model``, randomly initialised."""
    own = Projection if config.kind in T5_FAMILY else Adapter
    kind = LinearBridge if config.bridge == "linear" else own
    return kind(config.feature_dim, d_model, config.dropout)


def make_model(config: HfTextConfig) -> Any:
    """Build the transformers model, randomly initialised, on torch's default device."""
    model = new_model(config.kind, **{**config.model, KINDS[config.kind].dropout: config.dropout})
    if config.kind not in T5_FAMILY and not config.text_encoder:
        model.model.encoder = None
    parts: list[Any] = list(model.modules())
    for part in parts:
        if isinstance(part, M2M100SinusoidalPositionalEmbedding) and part.weights.is_meta:
            _fill_positions(part)
    # Otherwise search settings of the model's configuration apply as well, such as a forced end token.
    model.generation_config = GenerationConfig()
    return model


def _fill_positions(part: Any) -> None:
    """Compute the position embeddings of a model that was built empty: no weight file has them."""
    n_positions, width = part.weights.shape
    del part.weights
    with torch.device("cpu"):
        part.make_weights(n_positions, width, part.padding_idx)


def teacher_forced(
    model: Any,
    tokens: Tokens,
    context: tuple[Tensor, Tensor],
    prompts: Sequence[list[int]],
    targets: Sequence[list[int]],
) -> tuple[Tensor, Tensor]:
    """Run the decoder with teacher forcing.

    Args:
        model: transformers model.
        tokens: its tokenizer.
        context: (B, N, d_model) states to attend to, and their (B, N) mask, True = real.
        prompts: token ids of B prompts.
        targets: token ids that follow each prompt.

    Returns:
        (B, S, V) logits and (B, S) int64 targets, ``IGNORED`` where there is none.
    """
    states, mask = context
    inputs, wanted = _teacher_inputs(tokens, prompts, targets, states.device)
    logits: Tensor = model(
        encoder_outputs=as_encoded(states), attention_mask=mask, decoder_input_ids=inputs, use_cache=False
    ).logits
    return logits, wanted


def log_likelihoods(
    model: Any,
    tokens: Tokens,
    context: tuple[Tensor, Tensor],
    prompts: Sequence[list[int]],
    targets: Sequence[list[int]],
    *,
    max_logits: int,
) -> list[float]:
    """Return the mean log-probability (nats) of each target's tokens, without storing all logits.

    Args:
        model: transformers model.
        tokens: its tokenizer.
        context: as for ``teacher_forced``.
        prompts: token ids of B prompts.
        targets: token ids that follow each prompt.
        max_logits: logits computed at a time, at least those of one token.
    """
    states, mask = context
    inputs, wanted = _teacher_inputs(tokens, prompts, targets, states.device)
    written: Tensor = model.get_decoder()(
        input_ids=inputs, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    ).last_hidden_state
    real = wanted != IGNORED
    parts = zip(
        *(one.split(max(1, max_logits // model.config.vocab_size)) for one in (written[real], wanted[real])),
        strict=True,
    )
    found = [_log_probabilities(_logits(model, rows), ids) for rows, ids in parts]  # concatenated over texts
    return [one.mean().item() for one in torch.cat(found).split(real.sum(1).tolist())]


def _log_probabilities(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the (T,) log-probabilities of T token ids, given (T, V) logits."""
    logits = logits.float()
    return logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(1)


def _logits(model: Any, states: Tensor) -> Tensor:
    """Return the (…, V) logits of decoder states, as in the model's forward pass."""
    if hasattr(model, "final_logits_bias"):  # an mBART
        return model.lm_head(states) + model.final_logits_bias[0]
    if hasattr(model, "model_dim") and model.config.tie_word_embeddings:  # a T5 of the first version
        states = states * model.model_dim**-0.5
    return model.lm_head(states)


def _teacher_inputs(
    tokens: Tokens, prompts: Sequence[list[int]], targets: Sequence[list[int]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the (B, S) input ids and the (B, S) target ids, ``IGNORED`` where there is none."""
    pairs = list(zip(prompts, targets, strict=True))
    # Right padding: causal attention does not reach it.
    inputs = pad_rows([prompt + target[:-1] for prompt, target in pairs], tokens.pad, device)
    wanted = pad_rows([[IGNORED] * (len(prompt) - 1) + target for prompt, target in pairs], IGNORED, device)
    return inputs, wanted


def pad_rows(rows: Sequence[Sequence[int]], value: int, device: torch.device) -> Tensor:
    """Return (B, S) int64, right-padded with ``value``."""
    made = [torch.tensor(row) for row in rows]
    return nn.utils.rnn.pad_sequence(made, batch_first=True, padding_value=value).to(device)


def as_encoded(states: Any) -> BaseModelOutput:
    """Wrap (B, N, d_model) states as an encoder output of transformers."""
    return BaseModelOutput(last_hidden_state=states)
