"""The SONAR sign encoder: a sequence of features in, one sentence embedding in SONAR's space out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from slt.errors import UserError
from slt.tensors import EncoderOutput, FeatureBatch

POOLING_TOKEN = 0


@dataclass(frozen=True, kw_only=True)
class SonarT5Config:
    """The shape of a SONAR sign encoder; the defaults are the published one (T5-v1.1-large).

    Attributes:
        feature_dim: width of one input feature.
        output_dim: width of a sentence embedding.
        d_model: width of the transformer.
        d_kv: width of one attention head.
        d_ff: inner width of the feed-forward layers.
        num_layers: encoder layers.
        num_decoder_layers: layers of the decoder that pools.
        num_heads: attention heads.
        vocab_size: rows of the token embedding, of which one, the pooling query, is used.
        relative_attention_num_buckets: buckets of the relative position bias.
        relative_attention_max_distance: distance, in time steps, from which all share the last bucket.
        dropout_rate: of every dropout in the transformer while training.

    Raises:
        UserError: impossible sizes; every one is named.
    """

    feature_dim: int = 768
    output_dim: int = 1024
    d_model: int = 1024
    d_kv: int = 64
    d_ff: int = 2816
    num_layers: int = 24
    num_decoder_layers: int = 24
    num_heads: int = 16
    vocab_size: int = 32128
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        mistakes = [f"{name} {value}, expected at least 1" for name, value in sizes.items() if value < 1]
        if not 0 <= self.dropout_rate < 1:
            mistakes.append(f"dropout_rate {self.dropout_rate}, expected 0 or more, less than 1")
        if mistakes:
            raise UserError("bad SONAR sign encoder configuration: " + "; ".join(mistakes))


class FeatureProjection(nn.Module):
    """``scale ⊙ (W x + b)``: features into the transformer's width."""

    def __init__(self, feature_dim: int, d_model: int) -> None:
        super().__init__()
        self.feature_proj = nn.Linear(feature_dim, d_model)
        self.feature_proj_scale = nn.Parameter(torch.ones(d_model))

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, feature_dim) → (B, N, d_model)."""
        return self.feature_proj_scale * self.feature_proj(features)


class SonarT5(nn.Module):
    """A T5 encoder over features; a T5 decoder asked with one token pools them into the embedding.

    Reference:
        Duquenne et al. 2023, arXiv 2308.11466 (the space); facebookresearch/ssvp_slt, examples/sonar (the model).
    """

    Config: ClassVar = SonarT5Config
    OLD_NAMES: ClassVar[dict[str, str]] = {
        "encoder.feature_proj.": "encoder.feature_projection.feature_proj.",
        "encoder.feature_proj_scale": "encoder.feature_projection.feature_proj_scale",
    }
    MAY_BE_EXTRA: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__()
        from transformers.models.t5.configuration_t5 import T5Config
        from transformers.models.t5.modeling_t5 import T5Model

        shape = {name: value for name, value in asdict(config).items() if name not in ("feature_dim", "output_dim")}
        t5: Any = T5Model(T5Config(**shape, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6))
        self.config = config
        self.shared, self.encoder, self.decoder = t5.shared, t5.encoder, t5.decoder
        # Inside the encoder because published weights have it there.
        self.encoder.feature_projection = FeatureProjection(config.feature_dim, config.d_model)
        self.projection_out = nn.Linear(config.d_model, config.output_dim, bias=False)
        for block in self.decoder.block:
            attention = block.layer[0].SelfAttention
            attention.forward = partial(_attend_to_itself, attention)

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, feature_dim) features with their lengths, each at least 1.

        Returns:
            (B, output_dim) sentence embeddings and the encoder's (B, N, d_model) states.
        """
        mask = batch.mask
        # Attention gives padding a weight of zero, which does not silence a NaN.
        features = batch.features.masked_fill(~mask[:, :, None], 0)
        sequence = self.encoder(
            inputs_embeds=self.encoder.feature_projection(features), attention_mask=mask, use_cache=False
        ).last_hidden_state
        pooled = self.decoder(
            input_ids=torch.full((len(mask), 1), POOLING_TOKEN, device=mask.device),
            encoder_hidden_states=sequence,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state  # (B, 1, d_model)
        return EncoderOutput(sentence=self.projection_out(pooled).squeeze(1), sequence=sequence, mask=mask)


def _attend_to_itself(attention: Any, query: Tensor, *others: Any, **named: Any) -> tuple[Any, ...]:
    """Stand in for T5's self-attention of the pooling token, (B, 1, d_model), which is alone.

    Softmax over one key is 1, so attention is ``o(v(query))``, exactly; queries and keys, whose mapped weights then are
    never read, only matter to training, which wants a gradient for every weight, a zero one too.
    """
    if attention.training or query.shape[1] != 1:
        found: tuple[Any, ...] = type(attention).forward(attention, query, *others, **named)
        return found
    return attention.o(attention.v(query)), named.get("position_bias")
