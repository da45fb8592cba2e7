"""Sign encoder on two streams: keypoints and image embeddings."""

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
    """Gated fusion of keypoints and image embeddings, followed by Squeezeformer blocks.

    A transformer encodes the image embeddings, which are then interpolated at the keypoints' time steps. A gate
    computed from both streams weighs them per time step and channel.
    """

    Config: ClassVar = FusionConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ("projection",)
    """Submodules used for the sentence embedding only, not for the states."""
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
            batch: (B, N, 225) keypoints, NaN where not detected, and as ``visual`` (B, M, visual_dim) image
                embeddings, each with lengths of at least 1.

        Returns:
            (B, output_dim) sentence embeddings and the (B, N, d_model) states.

        Raises:
            UserError: the second stream is missing.
        """
        if batch.visual is None:
            raise UserError(
                "found one stream of features, expected two for the fusion encoder",
                fix="give keypoints and image embeddings, for example {keypoints: DIR, siglip: DIR}",
            )
        mask = batch.mask
        joints = normalise(batch.features, mask).to(self.pictures.weight.dtype)
        keypoints: Tensor = self.keypoints(joints)  # (B, N, d_model)
        visual = resample_to(self._encode_visual(batch.visual), batch.visual.lengths, batch)
        gate = self.gate(torch.cat([keypoints, visual], dim=-1)).sigmoid()
        sequence = gate * keypoints + (1 - gate) * visual
        for block in self.blocks:
            sequence = block(sequence, mask)
        return EncoderOutput(sentence=self.projection(masked_mean(sequence, mask)), sequence=sequence, mask=mask)

    def _encode_visual(self, visual: FeatureBatch) -> Tensor:
        mask = visual.mask
        embeddings = visual.features.masked_fill(~mask[:, :, None], 0)  # masked attention still propagates NaN
        embeddings = embeddings.to(self.pictures.weight.dtype)
        encoded: Tensor = self.temporal(self.pictures(embeddings), mask)  # (B, M, d_model)
        return encoded


def resample_to(states: Tensor, lengths: Tensor, batch: FeatureBatch) -> Tensor:
    """Interpolate states linearly at the time steps of another stream of the same clips.

    Both streams are assumed to start and end together; each time step lies at the centre of its interval.

    Args:
        states: (B, M, D) float.
        lengths: (B,) int64, number of real steps among the M.
        batch: the other stream, with N steps.

    Returns:
        (B, N, D) float.
    """
    here, there = (one.to(states.device)[:, None].float() for one in (lengths, batch.lengths))  # (B, 1)
    steps = torch.arange(batch.features.shape[1], device=states.device)[None]
    places = ((steps + 0.5) * here / there - 0.5).clamp(min=0).minimum(here - 1)  # (B, N), in steps of `states`
    before = places.long()
    after = (before + 1).minimum(here.long() - 1)
    share = (places - before)[:, :, None].to(states.dtype)
    first, second = (states.gather(1, one[:, :, None].expand(-1, -1, states.shape[2])) for one in (before, after))
    return first * (1 - share) + second * share
