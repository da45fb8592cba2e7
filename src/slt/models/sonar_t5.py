"""The SONAR sign encoder: a sequence of features in, one sentence embedding in SONAR's space out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.config import SonarT5Config
from slt.models.swap import SwappedModule

POOLING_TOKEN = 0


class FeatureProjection(nn.Module):
    """``scale ⊙ (W x + b)``: project features to the transformer's width."""

    def __init__(self, feature_dim: int, d_model: int) -> None:
        super().__init__()
        self.feature_proj = nn.Linear(feature_dim, d_model)
        self.feature_proj_scale = nn.Parameter(torch.ones(d_model))

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, feature_dim) → (B, N, d_model)."""
        return self.feature_proj_scale * self.feature_proj(features)


class SingleTokenAttention(SwappedModule):
    """T5 self-attention over a single token.

    Softmax over one key is 1, so attention equals ``o(v(query))`` exactly, and query and key weights are never read.
    Training uses the original module, because every weight needs a gradient, even if it is zero.
    """

    def forward(self, query: Tensor, *others: Any, **named: Any) -> tuple[Any, ...]:
        """Return the attention output of a (B, 1, d_model) query and the position bias, as T5 does."""
        if self.training or query.shape[1] != 1:
            found: tuple[Any, ...] = self.original(query, *others, **named)
            return found
        parts: Any = self
        return parts.o(parts.v(query)), named.get("position_bias")


class SonarT5(nn.Module):
    """T5 encoder on features; a T5 decoder with a single input token pools its states into the embedding.

    Reference:
        Duquenne et al. 2023, arXiv 2308.11466 (the space); facebookresearch/ssvp_slt, examples/sonar (the model).
    """

    Config: ClassVar = SonarT5Config
    OLD_NAMES: ClassVar[dict[str, str]] = {
        "encoder.feature_proj.": "encoder.feature_projection.feature_proj.",
        "encoder.feature_proj_scale": "encoder.feature_projection.feature_proj_scale",
    }
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ("shared", "decoder", "projection_out")
    """Submodules used for the sentence embedding only, not for the states."""
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ("encoder.feature_projection.", "projection_out.")

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__()
        from transformers.models.t5.configuration_t5 import T5Config
        from transformers.models.t5.modeling_t5 import T5Model

        shape = {name: value for name, value in asdict(config).items() if name not in ("feature_dim", "output_dim")}
        t5: Any = T5Model(T5Config(**shape, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6))
        self.config = config
        self.shared, self.encoder, self.decoder = t5.shared, t5.encoder, t5.decoder
        # Inside the encoder, as in published weights.
        self.encoder.feature_projection = FeatureProjection(config.feature_dim, config.d_model)
        self.projection_out = nn.Linear(config.d_model, config.output_dim, bias=False)
        for block in self.decoder.block:
            block.layer[0].SelfAttention = SingleTokenAttention(block.layer[0].SelfAttention)

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, feature_dim) features with lengths of at least 1.

        Returns:
            (B, output_dim) sentence embeddings and the encoder's (B, N, d_model) states.
        """
        mask = batch.mask
        # Masked attention still propagates NaN from padding.
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
