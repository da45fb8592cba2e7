"""The smallest sign encoder: a two-layer MLP per feature, mean pooling, L2 normalisation."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.config import MlpConfig


class Mlp(nn.Module):
    """Two layers per feature, then mean pooling: invariant to the order of signs.

    Suits features with temporal context, and serves as a baseline.
    """

    Config: ClassVar = MlpConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ("layers.",)

    def __init__(self, config: MlpConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            nn.Linear(config.feature_dim, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout_rate),
            nn.Linear(config.hidden_dim, config.output_dim),
        )

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, feature_dim) features with lengths of at least 1.

        Returns:
            (B, output_dim) sentence embeddings of the configured length, and (B, N, output_dim) states.
        """
        mask = batch.mask
        sequence: Tensor = self.layers(batch.features.masked_fill(~mask[:, :, None], 0))
        summed = sequence.masked_fill(~mask[:, :, None], 0).sum(1)  # (B, output_dim); same direction as the mean
        return EncoderOutput(sentence=self.config.length * F.normalize(summed), sequence=sequence, mask=mask)
