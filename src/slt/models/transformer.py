"""Small transformer on keypoints: a baseline."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from slt.core.tensors import EncoderOutput, FeatureBatch, lengths_to_mask
from slt.models.config import TransformerConfig
from slt.models.joints import normalise
from slt.models.sequence import Stack, masked_mean

KERNEL, STRIDE = 5, 2


class Transformer(nn.Module):
    """Convolution of stride 2 over time, transformer layers, mean pooling.

    The convolution captures motion, and its stride shortens the sequence: neighbouring frames at 25 frames per second
    hardly differ, and attention is quadratic in length.

    Reference: Tarrés et al. 2023, arXiv 2304.06371, which applies such an encoder to features.
    """

    Config: ClassVar = TransformerConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ("projection",)
    """Submodules used for the sentence embedding only, not for the states."""
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ("projection.",)

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.convolution = nn.Conv1d(config.feature_dim, config.d_model, KERNEL, STRIDE, padding=KERNEL // 2)
        self.stack = Stack(config.num_layers, config.d_model, config.num_heads, config.d_ff, config.dropout_rate)
        self.projection = nn.Linear(config.d_model, config.output_dim)

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, 225) keypoints, NaN where not detected, with lengths of at least 1.

        Returns:
            (B, output_dim) sentence embeddings and the (B, ⌈N/2⌉, d_model) states.
        """
        joints = normalise(batch.features, batch.mask).to(self.convolution.weight.dtype)  # zeros in padded steps
        states: Tensor = self.convolution(joints.transpose(1, 2)).transpose(1, 2)  # (B, ⌈N/2⌉, d_model)
        lengths = (batch.lengths.to(states.device) + STRIDE - 1) // STRIDE
        mask = lengths_to_mask(lengths, states.shape[1])
        sequence = self.stack(states, mask)
        return EncoderOutput(sentence=self.projection(masked_mean(sequence, mask)), sequence=sequence, mask=mask)
