"""Uni-Sign's pose encoder: graph convolutions over the points of body, hands and face, then over time.

Reference: Li et al. 2025, arXiv 2501.15187; Yan et al. 2018, arXiv 1801.07455 (ST-GCN). The names of the weights are
those of the published checkpoints.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.tensors import EncoderOutput, FeatureBatch, lengths_to_mask
from slt.models.config import StgcnConfig
from slt.models.sequence import masked_mean
from slt.models.wholebody import PARTS, hop_partition, split

TEMPORAL_BLOCKS = 3
KERNEL = 5
"""Frames that a temporal convolution sees."""

BODY_POINT_OF = {"left": -2, "right": -1, "face_all": 0}
"""Part → the body's point that it hangs on: its wrist, or the nose."""


class Frames:
    """Which real frames of a padded batch lie where; everything but convolutions over time is computed on these alone.

    Padding is then neither computed nor counted in the statistics of batch normalisation, and the states of a clip do
    not depend on the others of its batch.

    Args:
        mask: (B, N) bool, True = real.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def pack(self, padded: Tensor) -> Tensor:
        """(B, N, …) → (R, …), the R real frames of all clips."""
        return padded[self.mask]

    def unpack(self, packed: Tensor) -> Tensor:
        """(R, …) → (B, N, …), zeros in padded steps."""
        padded = packed.new_zeros(*self.mask.shape, *packed.shape[1:])
        padded[self.mask] = packed
        return padded


def _pointwise(convolution: Any, points: Tensor) -> Tensor:
    """A 1×1 convolution of points with their channels last, (…, C) → (…, C')."""
    return F.linear(points, convolution.weight.flatten(1), convolution.bias)


def _normalised(norm: nn.Module, points: Tensor) -> Tensor:
    """Batch normalisation of points with their channels last, (…, C)."""
    normalised: Tensor = norm(points.flatten(0, -2)[:, :, None, None])
    return normalised.view(points.shape)


class GraphUnit(nn.Module):
    """A 1×1 convolution to K×C channels, which a learned adjacency sums over neighbours; normalisation and ReLU.

    Channels come last, unlike in the weights: on a CPU that takes two thirds of the time.

    Args:
        width_in: channels in.
        width: channels out, C.
        adjacency: (K, V, V), to start from.
    """

    def __init__(self, width_in: int, width: int, adjacency: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(adjacency)
        self.conv = nn.Conv2d(width_in, width * len(adjacency), 1)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, packed: Tensor) -> Tensor:
        """(R, V, width_in) → (R, V, C)."""
        n_frames, n_points, _ = packed.shape
        by_hop = _pointwise(self.conv, packed).view(n_frames, n_points * len(self.A), -1)  # (R, V×K, C)
        neighbours = self.A.permute(2, 1, 0).flatten(1)  # (V, V×K)
        summed = torch.bmm(neighbours.expand(n_frames, -1, -1), by_hop)
        return _normalised(self.bn, summed).relu()


class GraphBlock(nn.Module):
    """A graph unit and, unless it looks at single frames, a convolution over time; both in one residual connection.

    Args:
        width_in: channels in.
        width: channels out.
        adjacency: (K, V, V), to start from.
        over_time: with a convolution over time.
    """

    def __init__(self, width_in: int, width: int, adjacency: Tensor, *, over_time: bool) -> None:
        super().__init__()
        self.gcn = GraphUnit(width_in, width, adjacency)
        self.tcn: nn.Sequential | None = None
        self.residual: nn.Sequential | None = None
        if over_time:
            padding = (KERNEL // 2, 0)
            self.tcn = nn.Sequential(nn.Conv2d(width, width, (KERNEL, 1), padding=padding), nn.BatchNorm2d(width))
        if width_in != width:
            self.residual = nn.Sequential(nn.Conv2d(width_in, width, 1), nn.BatchNorm2d(width))

    def forward(self, packed: Tensor, frames: Frames) -> Tensor:
        """(R, V, width_in) → (R, V, width)."""
        residual = packed
        if self.residual is not None:
            convolution, norm = self.residual
            residual = _normalised(norm, _pointwise(convolution, packed))
        states = self.gcn(packed)
        if self.tcn is not None:
            convolution, norm = self.tcn
            clips = frames.unpack(states).permute(0, 3, 1, 2)  # (B, C, N, V), as a view
            states = _normalised(norm, frames.pack(convolution(clips).permute(0, 2, 3, 1)))
        return (states + residual).relu()


class Chain(nn.ModuleDict):
    """Graph blocks by name, one after the other."""

    def forward(self, packed: Tensor, frames: Frames) -> Tensor:
        """(R, V, C) → (R, V, C')."""
        for block in self.values():
            packed = block(packed, frames)
        return packed


class Stgcn(nn.Module):
    """Uni-Sign's pose encoder: four parts, graph convolutions within frames, then over time; mean over points.

    Left and right hand share all weights. The states of the four parts side by side, plus a learned offset, are the
    encoder's states. The sentence embedding is their mean, projected if ``output_dim`` is given.
    """

    Config: ClassVar = StgcnConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ("projection",)
    """Submodules used for the sentence embedding only, not for the states."""
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ("projection.",)

    def __init__(self, config: StgcnConfig) -> None:
        super().__init__()
        self.config = config
        width, total = config.width, config.d_model
        self.proj_linear = nn.ModuleDict({part: nn.Linear(3, width // 4) for part in PARTS if part != "right"})
        self.gcn_modules = nn.ModuleDict({part: _spatial(part, width) for part in PARTS if part != "right"})
        self.fusion_gcn_modules = nn.ModuleDict({part: _temporal(part, width) for part in PARTS if part != "right"})
        for shared in (self.proj_linear, self.gcn_modules, self.fusion_gcn_modules):
            shared["right"] = shared["left"]
        self.part_para = nn.Parameter(torch.zeros(total))
        self.projection = nn.Linear(total, config.output_dim) if config.output_dim else nn.Identity()

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Embed B clips.

        Args:
            batch: (B, N, 399) points; clips of more than ``max_frames`` frames are thinned out, evenly.

        Returns:
            (B, output_dim) sentence embeddings and the (B, N, d_model) states, d_model four times ``width``.
        """
        points, lengths = _thinned(batch, self.config.max_frames)
        mask = lengths_to_mask(lengths, points.shape[1])
        frames = Frames(mask)
        parts = {name: frames.pack(part) for name, part in split(points, mask).items()}
        body = self._within_frames("body", parts["body"], frames)
        on_body = {name: body.detach()[:, [point]] for name, point in BODY_POINT_OF.items()}
        face = self._within_frames("face_all", parts["face_all"], frames) + on_body["face_all"]
        # Both hands at once, as one batch: in training, normalised by themselves, a hand that signs and one that rests
        # would each have statistics that are not the ones of evaluation, which they share.
        hands, of_hands = (torch.cat([of["left"], of["right"]]) for of in (parts, on_body))
        both = Frames(mask.repeat(2, 1))
        hands = self._within_frames("left", hands, both) + of_hands
        left, right = self._over_time("left", hands, both).chunk(2)
        fused = [self._over_time("body", body, frames), left, right, self._over_time("face_all", face, frames)]
        sequence = frames.unpack(torch.cat(fused, dim=-1) + self.part_para)
        return EncoderOutput(sentence=self.projection(masked_mean(sequence, mask)), sequence=sequence, mask=mask)

    def _within_frames(self, name: str, packed: Tensor, frames: Frames) -> Tensor:
        """(R, V, 3) → (R, V, width)."""
        embedded = self.proj_linear[name](packed.to(self.part_para.dtype))  # (R, V, width / 4)
        states: Tensor = self.gcn_modules[name](embedded, frames)
        return states

    def _over_time(self, name: str, packed: Tensor, frames: Frames) -> Tensor:
        """(R, V, width) → (R, width)."""
        states: Tensor = self.fusion_gcn_modules[name](packed, frames)
        return states.mean(1)


def _spatial(part: str, width: int) -> Chain:
    widths = (width // 4, width // 4, width // 2, width)
    blocks = [GraphBlock(before, after, hop_partition(part), over_time=False) for before, after in pairwise(widths)]
    return Chain({f"layer{number}_0": block for number, block in enumerate(blocks)})


def _temporal(part: str, width: int) -> Chain:
    blocks = [GraphBlock(width, width, hop_partition(part), over_time=True) for _ in range(TEMPORAL_BLOCKS)]
    return Chain({f"layer0_{number}": block for number, block in enumerate(blocks)})


def _thinned(batch: FeatureBatch, max_frames: int) -> tuple[Tensor, Tensor]:
    """Return the batch's points and lengths with at most ``max_frames`` frames of each clip, evenly spaced."""
    lengths = batch.lengths.to(batch.features.device)
    if not max_frames or batch.features.shape[1] <= max_frames:
        return batch.features, lengths
    clips = [clip[evenly_spaced(len(clip), max_frames).to(clip.device)] for clip in batch.clips()]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths.clamp(max=max_frames)


def evenly_spaced(n_frames: int, at_most: int) -> Tensor:
    """Return the (min(n_frames, at_most),) int64 indices of evenly spaced frames, first and last included."""
    if n_frames <= at_most:
        return torch.arange(n_frames)
    return torch.linspace(0, n_frames - 1, at_most, dtype=torch.float64).round().long()
