"""Tensor types that cross module borders, with shape, dtype, unit and mask polarity (True = real)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from slt.core.device import send


def lengths_to_mask(lengths: Tensor, size: int) -> Tensor:
    """Return the (B, size) bool mask, True where a step is real, for (B,) integer lengths."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


@dataclass(frozen=True, kw_only=True)
class FeatureBatch:
    """Features of B clips, padded at the end to the longest.

    Attributes:
        features: (B, N, feature_dim) float; whatever stands in padded steps must not matter.
        lengths: (B,) int64, the number of real steps of each clip, each in 1..N.
        visual: a second stream of the same clips, embeddings of their pictures beside keypoints, with lengths of its
            own; None for the encoders that take one stream.
    """

    features: Tensor
    lengths: Tensor
    visual: FeatureBatch | None = None

    @classmethod
    def of(cls, clips: Sequence[Tensor], visual: Sequence[Tensor] = ()) -> FeatureBatch:
        """Pad clips, each (N_i, feature_dim), into one batch with zeros; and their second stream, where they have one.

        Args:
            clips: of each clip (N_i, feature_dim).
            visual: of each clip (M_i, visual_dim); empty: there is no second stream.
        """
        lengths = torch.tensor([len(clip) for clip in clips])
        features = torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True)
        return cls(features=features, lengths=lengths, visual=cls.of(visual) if visual else None)

    def to(self, device: torch.device) -> FeatureBatch:
        """Return it on a device; the lengths stay where they are."""
        visual = self.visual.to(device) if self.visual else None
        return replace(self, features=send(self.features, device), visual=visual)

    def pin_memory(self) -> FeatureBatch:
        """Return it in pinned memory, from which an accelerator copies while it computes."""
        return replace(self, features=self.features.pin_memory(), visual=self.visual and self.visual.pin_memory())

    @property
    def mask(self) -> Tensor:
        """(B, N) bool, True = real."""
        return lengths_to_mask(self.lengths.to(self.features.device), self.features.shape[1])

    def clips(self) -> list[Tensor]:
        """Return each clip's own features, (N_i, feature_dim), without padding."""
        return [row[:n] for row, n in zip(self.features, self.lengths.tolist(), strict=True)]


@dataclass(frozen=True, kw_only=True)
class EncoderOutput:
    """What every sign encoder returns.

    Attributes:
        sentence: (B, D) float, one sentence embedding per clip (D = 1024 in SONAR's space).
        sequence: (B, N, H) float, the encoder's states.
        mask: (B, N) bool, True = real.
    """

    sentence: Tensor
    sequence: Tensor
    mask: Tensor

    @classmethod
    def of(cls, clips: Sequence[EncoderOutput]) -> EncoderOutput:
        """Join the outputs of single clips into one batch, padded at the end with zeros."""
        pad = torch.nn.utils.rnn.pad_sequence
        return cls(
            sentence=torch.cat([one.sentence for one in clips]),
            sequence=pad([one.sequence[0] for one in clips], batch_first=True),
            mask=pad([one.mask[0] for one in clips], batch_first=True),
        )

    def clips(self) -> list[EncoderOutput]:
        """Return each clip's own output, a batch of one without padding."""
        rows = zip(self.sentence, self.sequence, self.mask, self.mask.sum(1).tolist(), strict=True)
        return [
            EncoderOutput(sentence=sentence[None], sequence=states[None, :n], mask=mask[None, :n])
            for sentence, states, mask, n in rows
        ]
