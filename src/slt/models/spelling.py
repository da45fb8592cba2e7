"""Sign encoder of fingerspelling: the shape of the spelling hand in every frame, and its neighbourhood in time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.tensors import EncoderOutput, FeatureBatch, lengths_to_mask
from slt.models.config import SpellingConfig
from slt.models.sequence import masked_mean
from slt.video.keypoints import HAND_DEPTH_UNIT, LEFT_HAND, N_JOINTS, RIGHT_HAND

STRIDE, REACH = 2, 5  # of the convolution that halves the frames

_KNUCKLES, _TIPS, _MIDDLES = [5, 9, 13, 17], [4, 8, 12, 16, 20], [6, 10, 14, 18]
NO_HAND = "no hand detected in any frame; show the spelling hand, whole, in the picture"
LITTLE_HAND = "the spelling hand is detected in {share:.0%} of the frames only; letters may be missing"
ENOUGH = 0.5  # of the frames; a hand that comes up, spells and goes down again is seen in most


class Spelling(nn.Module):
    """Hand-centred features of each frame, then convolutions over time.

    Of each clip one hand is read: the one seen in more frames and held higher; a left hand is mirrored. Per frame, the
    joints are taken relative to the wrist and scaled by the palm, once as they are seen and once in the palm's own
    axes, with the distances of fingertips and the wrist's velocity. The body is not looked at.
    """

    Config: ClassVar = SpellingConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()
    SENTENCE_ONLY: ClassVar[tuple[str, ...]] = ()
    INPUT_OUTPUT_LAYERS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: SpellingConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.input = nn.Linear(N_FEATURES, width)
        self.mix = nn.Linear(width, width)
        self.halve = nn.Conv1d(width, width, REACH, STRIDE, padding=REACH // 2)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, batch: FeatureBatch) -> EncoderOutput:
        """Encode B clips.

        Args:
            batch: (B, N, 225) keypoints, x, y and z in one unit, NaN where not detected.

        Returns:
            the (B, ⌈N/2⌉, d_model) states, and their (B, d_model) means.
        """
        real = batch.mask[..., None]
        features = hand_features(spelling_hand(batch.features, batch.mask)).to(self.input.weight.dtype)
        states = self.mix(F.gelu(self.dropout(self.input(features)))) * real  # (B, N, d_model)
        states = F.gelu(self.halve(states.transpose(1, 2))).transpose(1, 2)  # (B, ⌈N/2⌉, d_model)
        lengths = (batch.lengths.to(states.device) + STRIDE - 1) // STRIDE
        mask = lengths_to_mask(lengths, states.shape[1])
        for block in self.blocks:
            states = block(states, mask)
        sequence = self.norm(states)
        return EncoderOutput(sentence=masked_mean(sequence, mask), sequence=sequence, mask=mask)

    def remarks(self, features: Tensor) -> list[str]:
        """Return what to say of one clip's (N, 225) keypoints: that no hand is seen, or rarely."""
        mask = torch.ones(1, len(features), dtype=torch.bool, device=features.device)
        share = float(spelling_hand(features[None], mask).isfinite().all(-1).all(-1).float().mean())
        return [NO_HAND] if share == 0 else [LITTLE_HAND.format(share=share)] * (share < ENOUGH)


class Block(nn.Module):
    """A depthwise convolution over time and a feed-forward layer, added to their input."""

    def __init__(self, config: SpellingConfig) -> None:
        super().__init__()
        width = config.d_model
        self.norm = nn.LayerNorm(width)
        self.over_time = nn.Conv1d(width, width, config.kernel_size, padding=config.kernel_size // 2, groups=width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (B, N, d_model) states; padded steps count as zeros."""
        real = self.norm(states) * mask[..., None]
        seen = self.over_time(real.transpose(1, 2)).transpose(1, 2)
        return states + self.dropout(self.narrow(F.gelu(self.widen(seen))))


def spelling_hand(keypoints: Tensor, mask: Tensor) -> Tensor:
    """Return the spelling hand of each clip as a right hand.

    Args:
        keypoints: (B, N, 225), NaN where not detected.
        mask: (B, N) bool, True = real.

    Returns:
        (B, N, 21, 3) float32; NaN where it is not detected, and in padded steps.
    """
    joints = keypoints.float().unflatten(-1, (N_JOINTS, 3))
    right, left = joints[:, :, RIGHT_HAND], joints[:, :, LEFT_HAND]
    takes_left = _prominence(left, mask) > _prominence(right, mask)  # (B,)
    mirrored = left * left.new_tensor([-1, 1, 1])
    hand = torch.where(takes_left[:, None, None, None], mirrored, right)
    whole = hand.isfinite().all(-1).all(-1) & mask  # (B, N)
    return hand.masked_fill(~whole[..., None, None], torch.nan)


def _prominence(hand: Tensor, mask: Tensor) -> Tensor:
    """Return (B,) of (B, N, 21, 3) hands: the share of frames they are seen in, less how low they are held."""
    seen = hand.isfinite().all(-1).all(-1) & mask
    n_seen = seen.sum(1)
    low = hand[:, :, 0, 1].masked_fill(~seen, 0).sum(1) / n_seen.clamp(min=1)
    return torch.where(n_seen > 0, n_seen / mask.sum(1) - low, -torch.inf)


def hand_features(hand: Tensor) -> Tensor:
    """Return (B, N, F) float32 features of (B, N, 21, 3) hands; zeros where the hand is NaN."""
    seen = hand[..., 0, 0].isfinite()
    hand = torch.nan_to_num(hand) * hand.new_tensor([1, 1, HAND_DEPTH_UNIT])
    wrist = hand[:, :, 0]
    shape = hand[:, :, 1:] - wrist[:, :, None]  # (B, N, 20, 3)
    palm = shape[:, :, [knuckle - 1 for knuckle in _KNUCKLES]].norm(dim=-1).mean(-1).clamp(min=1e-4)
    shape = shape / palm[..., None, None]
    axes = _palm_axes(shape)  # (B, N, 3, 3)
    own = shape @ axes
    tips = own[:, :, [tip - 1 for tip in _TIPS]]
    others = own[:, :, [joint - 1 for joint in (*_KNUCKLES, *_MIDDLES)]]
    first, second = torch.triu_indices(5, 5, 1)
    parts = (
        shape.flatten(2),
        own.flatten(2),
        axes.flatten(2),
        (tips[:, :, first] - tips[:, :, second]).norm(dim=-1),
        (tips[:, :, :1] - others).norm(dim=-1),  # from the thumb's
        3 * _velocity(wrist, palm, seen),
        torch.ones_like(palm)[..., None],
    )
    return torch.cat(parts, -1) * seen[..., None]


N_FEATURES = 60 + 60 + 9 + 10 + 8 + 3 + 1


def _palm_axes(shape: Tensor) -> Tensor:
    """Return (B, N, 3, 3): columns across the palm, along it, and out of it; of (B, N, 20, 3) joints from the wrist."""
    along = F.normalize(shape[:, :, 8], dim=-1)
    across = shape[:, :, 4] - shape[:, :, 16]
    across = F.normalize(across - (across * along).sum(-1, keepdim=True) * along, dim=-1)
    return torch.stack([across, along, torch.cross(across, along, dim=-1)], -1)


def _velocity(wrist: Tensor, palm: Tensor, seen: Tensor) -> Tensor:
    """Return (B, N, 3) palm sizes per frame; zeros where a frame or the one before is without a hand."""
    step = torch.zeros_like(wrist)
    step[:, 1:] = (wrist[:, 1:] - wrist[:, :-1]) / palm[:, 1:, None] * (seen[:, 1:] & seen[:, :-1])[..., None]
    return step.clamp(-2, 2)
