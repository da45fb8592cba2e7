"""Model, bridge and loss of a transformers text decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.generation.configuration_utils import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.mbart.configuration_mbart import MBartConfig
from transformers.models.mbart.modeling_mbart import MBartForConditionalGeneration
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

from slt.text.hf.config import HfTextConfig
from slt.text.hf.tokens import Tokens

IGNORED = -100
"""Stands where nothing is to be predicted."""


class Projection(nn.Sequential):
    """A T5's bridge: into the width of its own token embeddings, which its encoder then reads as if they were text."""

    def __init__(self, feature_dim: int, d_model: int, dropout: float) -> None:
        super().__init__(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, d_model), nn.Dropout(dropout))


class Adapter(nn.Sequential):
    """An mBART's bridge: two layers make of a sign encoder's states what its decoder attends to."""

    def __init__(self, feature_dim: int, d_model: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(feature_dim, d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_model, d_model),
            nn.LayerNorm(d_model),  # as mBART's own encoder ends
        )


def make_bridge(config: HfTextConfig, d_model: int) -> nn.Module:
    """Make the bridge to a model of that width, with random weights."""
    kind = Projection if config.kind == "t5" else Adapter
    return kind(config.feature_dim, d_model, config.dropout)


def make_model(config: HfTextConfig) -> Any:
    """Make transformers' model, with random weights, on torch's default device."""
    if config.kind == "t5":
        model: Any = T5ForConditionalGeneration(T5Config(**{**config.model, "dropout_rate": config.dropout}))
    else:
        model = MBartForConditionalGeneration(MBartConfig(**{**config.model, "dropout": config.dropout}))
        if not config.text_encoder:
            model.model.encoder = None
    # What the model's configuration says of searching would otherwise mix with what is asked for, such as an end
    # that is teacher_forced where the text is cut off.
    model.generation_config = GenerationConfig()
    return model


def teacher_forced(
    model: Any,
    tokens: Tokens,
    seen: tuple[Tensor, Tensor],
    prompts: Sequence[list[int]],
    targets: Sequence[list[int]],
) -> tuple[Tensor, Tensor]:
    """Feed texts to a decoder, whatever it would have written itself.

    Args:
        model: of transformers.
        tokens: its tokenizer.
        seen: (B, N, d_model) states that it attends to, and their (B, N) mask, True = real.
        prompts: B prompts.
        targets: what follows each.

    Returns:
        (B, S, V) logits, and the (B, S) tokens that should be predicted, ``IGNORED`` where none.
    """
    states, mask = seen
    inputs, wanted = _teacher_inputs(tokens, prompts, targets, states.device)
    logits: Tensor = model(
        encoder_outputs=as_encoded(states), attention_mask=mask, decoder_input_ids=inputs, use_cache=False
    ).logits
    return logits, wanted


def log_likelihoods(
    model: Any,
    tokens: Tokens,
    seen: tuple[Tensor, Tensor],
    prompts: Sequence[list[int]],
    targets: Sequence[list[int]],
    *,
    at_once: int,
) -> list[float]:
    """Return the mean log-probability of each target's tokens, without keeping the logits.

    Args:
        model: of transformers.
        tokens: its tokenizer.
        seen: as for ``teacher_forced``.
        prompts: B prompts.
        targets: what follows each.
        at_once: logits at most, unless one token's are more.
    """
    states, mask = seen
    inputs, wanted = _teacher_inputs(tokens, prompts, targets, states.device)
    written: Tensor = model.get_decoder()(
        input_ids=inputs, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    ).last_hidden_state
    real = wanted != IGNORED
    parts = zip(
        *(one.split(max(1, at_once // model.config.vocab_size)) for one in (written[real], wanted[real])), strict=True
    )
    found = [_log_probabilities(_logits(model, rows), ids) for rows, ids in parts]  # text after text
    return [one.mean().item() for one in torch.cat(found).split(real.sum(1).tolist())]


def _log_probabilities(logits: Tensor, ids: Tensor) -> Tensor:
    """Return (T,) log-probabilities of T tokens, of their (T, V) logits."""
    logits = logits.float()
    return logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(1)


def _logits(model: Any, states: Tensor) -> Tensor:
    """Return (…, V), of what a decoder's last layer made, as the model itself does with all of it at once."""
    if not isinstance(model, T5ForConditionalGeneration):
        return model.lm_head(states) + model.final_logits_bias[0]
    scale = model.model_dim**-0.5 if model.config.tie_word_embeddings else 1.0
    return model.lm_head(states * scale)


def _teacher_inputs(
    tokens: Tokens, prompts: Sequence[list[int]], targets: Sequence[list[int]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the (B, S) tokens that are fed, and those that should follow each, ``IGNORED`` where none."""
    pairs = list(zip(prompts, targets, strict=True))
    # Padding comes last, where what is real does not look.
    inputs = pad_rows([prompt + target[:-1] for prompt, target in pairs], tokens.pad, device)
    wanted = pad_rows([[IGNORED] * (len(prompt) - 1) + target for prompt, target in pairs], IGNORED, device)
    return inputs, wanted


def pad_rows(rows: Sequence[Sequence[int]], value: int, device: torch.device) -> Tensor:
    """Return (B, S) int64, shorter rows filled at their end."""
    made = [torch.tensor(row) for row in rows]
    return nn.utils.rnn.pad_sequence(made, batch_first=True, padding_value=value).to(device)


def as_encoded(states: Any) -> BaseModelOutput:
    """Return (B, N, d_model) states as transformers' models take them."""
    return BaseModelOutput(last_hidden_state=states)
