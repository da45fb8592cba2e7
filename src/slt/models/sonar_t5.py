"""The SONAR sign encoder: a sequence of features in, one sentence embedding in SONAR's space out."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.config import SonarT5Config
from slt.models.t5 import T5Stack, initialise

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
    FLOAT32_LAYERS: ClassVar[tuple[str, ...]] = ("wo",)
    """Layers whose results exceed float16's range; the same as in transformers."""

    def __init__(self, config: SonarT5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared, is_decoder=False)
        self.decoder = T5Stack(config, self.shared, is_decoder=True)
        initialise(self, config)
        # Inside the encoder, as in published weights.
        self.encoder.feature_projection = FeatureProjection(config.feature_dim, config.d_model)
        self.projection_out = nn.Linear(config.d_model, config.output_dim, bias=False)

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
        projection = cast(FeatureProjection, self.encoder.feature_projection)
        sequence = self.encoder(projection(features), mask)
        query = torch.full((len(mask), 1), POOLING_TOKEN, device=mask.device)
        pooled = self.decoder(query, memory=sequence, memory_mask=mask)  # (B, 1, d_model)
        return EncoderOutput(sentence=self.projection_out(pooled).squeeze(1), sequence=sequence, mask=mask)
