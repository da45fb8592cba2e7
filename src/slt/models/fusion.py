"""Sign encoder on two streams: keypoints and picture embeddings."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from slt.core.errors import UserError
from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.config import FusionConfig
from slt.models.joints import normalise
from slt.models.sequence import Stack, masked_mean
from slt.models.squeezeformer import Block


class Fusion(nn.Module):
    """Keypoints and embeddings of pictures, brought to one pace and mixed by a gate, through Squeezeformer blocks.

    The pictures' embeddings go through a transformer of their own first, and are then read at the keypoints' times. At
    each step and in each channel the gate, which sees both, says how much of either goes on.
    """

    Config: ClassVar = FusionConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ("projection",)
    """Parts that only the sentence embedding needs, not the states."""
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ("pictures.", "projection.")

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        width, heads, d_ff, dropout = config.d_model, config.num_heads, config.d_ff, config.dropout_rate
        self.config = config
        self.keypoints = nn.Sequential(nn.Linear(config.feature_dim, width), nn.LayerNorm(width))
        self.pictures = nn.Linear(config.visual_dim, width)
        self.temporal = Stack(config.num_visual_layers, width, heads, d_ff, dropout)
        self.gate = nn.Linear(2 * width, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, d_ff, config.kernel_size, dropout) for _ in range(config.num_blocks)
        )
        self.projection = nn.Linear(width, config.output_dim)

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, 225) keypoints, NaN where not seen, and as ``visual`` (B, M, visual_dim) embeddings of
                pictures, each with their lengths, at least 1.

        Returns:
            (B, output_dim) sentence embeddings and the (B, N, d_model) states.

        Raises:
            UserError: there is no second stream.
        """
        if batch.visual is None:
            raise UserError(
                "the fusion encoder takes two streams of features, and was given one",
                fix="give keypoints and embeddings of pictures, as {keypoints: DIR, siglip: DIR} say",
            )
        mask = batch.mask
        joints = normalise(batch.features, mask).to(self.pictures.weight.dtype)
        keypoints: Tensor = self.keypoints(joints)  # (B, N, d_model)
        looks = resample_to(self._look(batch.visual), batch.visual.lengths, batch)
        gate = self.gate(torch.cat([keypoints, looks], dim=-1)).sigmoid()
        sequence = gate * keypoints + (1 - gate) * looks
        for block in self.blocks:
            sequence = block(sequence, mask)
        return EncoderOutput(sentence=self.projection(masked_mean(sequence, mask)), sequence=sequence, mask=mask)

    def _look(self, visual: FeatureBatch) -> Tensor:
        mask = visual.mask
        embeddings = visual.features.masked_fill(~mask[:, :, None], 0)  # attention would not silence a NaN
        embeddings = embeddings.to(self.pictures.weight.dtype)
        looked: Tensor = self.temporal(self.pictures(embeddings), mask)  # (B, M, d_model)
        return looked


def resample_to(states: Tensor, lengths: Tensor, batch: FeatureBatch) -> Tensor:
    """Read each clip's states at the time steps of another stream of it, between two of them by linear interpolation.

    Both streams are taken to begin and to end together, each step in the middle of its segment of time.

    Args:
        states: (B, M, D).
        lengths: (B,) int64, how many of the M are real; nothing else is read.
        batch: the other stream, of N steps.

    Returns:
        (B, N, D).
    """
    here, there = (one.to(states.device)[:, None].float() for one in (lengths, batch.lengths))  # (B, 1)
    steps = torch.arange(batch.features.shape[1], device=states.device)[None]
    places = ((steps + 0.5) * here / there - 0.5).clamp(min=0).minimum(here - 1)  # (B, N), in steps of `states`
    before = places.long()
    after = (before + 1).minimum(here.long() - 1)
    share = (places - before)[:, :, None].to(states.dtype)
    first, second = (states.gather(1, one[:, :, None].expand(-1, -1, states.shape[2])) for one in (before, after))
    return first * (1 - share) + second * share
