"""Recipe: sign encoders and objectives, one dataclass per kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.registry import SHAPES, resolve

FOLLOWS = ("feature_dim", "visual_dim", "output_dim")  # of a shape: from the features, and from the decoder
ON_KEYPOINTS: Mapping[str, str] = {"fusion": "keypoints", "transformer": "keypoints", "stgcn": "wholebody"}
"""Encoders whose features, or first stream of them, are keypoints, and the extractor that makes these."""


@dataclass(frozen=True, kw_only=True)
class _Encoder:
    """What every kind of sign encoder is told.

    Attributes:
        kind: its name.
        weights: a bundle's name or folder, a run, or a checkpoint file, to start from; none: random weights.
        shape: sizes that differ from those of its ``Config``; a bundle's or run's weights have their own, and only
            ``dropout_rate`` may be another. The widths of features and embeddings are never given: they follow from
            the data.
        frozen: leave its weights as they are.
    """

    kind: str
    weights: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)
    frozen: bool = False

    def __post_init__(self) -> None:
        _check_shape(self.kind, self.shape)


@dataclass(frozen=True, kw_only=True)
class SonarT5Encoder(_Encoder):
    """The published sign encoder's architecture, of any size.

    Attributes:
        checkpointing: recompute its activations in the backward pass.
        lora_rank: rank of the small matrices added to its layers, which alone are trained; 0: all of it is.
        lora_alpha: they are scaled by alpha / rank.
        lora_layers: the layers that get them, by the last part of their names.
    """

    kind: Literal["sonar-t5"]
    checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: float = 16.0
    lora_layers: tuple[str, ...] = ("q", "k", "v", "o", "wi_0", "wi_1", "wo", "feature_proj", "projection_out")

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse(
            (self.lora_rank < 0, f"lora_rank {self.lora_rank}, expected 0 or more"),
            (self.lora_rank > 0 and self.frozen, "frozen with lora_rank: take one of the two"),
            (self.lora_alpha <= 0, f"lora_alpha {self.lora_alpha}, expected more than 0"),
            (not self.lora_layers, "lora_layers is empty"),
        )


@dataclass(frozen=True, kw_only=True)
class MlpEncoder(_Encoder):
    """Two layers over single features, then their mean."""

    kind: Literal["mlp"]


@dataclass(frozen=True, kw_only=True)
class FusionEncoder(_Encoder):
    """Keypoints and embeddings of pictures, through Squeezeformer blocks.

    Attributes:
        checkpointing: recompute its activations in the backward pass.
    """

    kind: Literal["fusion"]
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class TransformerEncoder(_Encoder):
    """A small transformer over keypoints.

    Attributes:
        checkpointing: recompute its activations in the backward pass.
    """

    kind: Literal["transformer"]
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class SonarSpace:
    """Land where the frozen text encoder puts the sentence; a weighted sum of terms, of which 0 leaves one out.

    Attributes:
        kind: its name.
        mse: squared distance to the sentence's embedding, in units of the targets' variance: the mean of all
            sentences scores 1 in any space.
        cosine: one minus the cosine similarity.
        contrastive: InfoNCE against the other sentences of the batch, of all processes, in both directions.
        cross_entropy: of the sentence's tokens, through the text decoder.
        auto_encoding: the same from the sentence's own embedding with noise; keeps a decoder that is trained
            from forgetting.
        temperature: of the contrastive term.
        label_smoothing: of both terms that go through the decoder.
        noise: on embeddings before auto-encoding, in standard deviations of the targets.
    """

    kind: Literal["sonar-space"]
    mse: float = 1.0
    cosine: float = 0.0
    contrastive: float = 0.0
    cross_entropy: float = 0.0
    auto_encoding: float = 0.0
    temperature: float = 0.07
    label_smoothing: float = 0.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        names = ("mse", "cosine", "contrastive", "cross_entropy", "auto_encoding")
        weights = {name: getattr(self, name) for name in names}
        refuse(
            *((weight < 0, f"{name} {weight}, expected a weight of 0 or more") for name, weight in weights.items()),
            (not any(weights.values()), "every weight is 0: nothing would be learnt"),
            (self.temperature <= 0, f"temperature {self.temperature}, expected more than 0"),
            (not 0 <= self.label_smoothing < 1, f"label_smoothing {self.label_smoothing}, expected 0 or more, below 1"),
            (self.noise < 0, f"noise {self.noise}, expected 0 or more"),
        )


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Find the own sentence among those of the batch, and the sentence its clip: InfoNCE in a text encoder's space.

    For a first phase that aligns a sign encoder with text; nothing is decoded, and lengths of embeddings do not matter.
    Targets are centred on the mean of the training sentences, since embeddings of a language model all point much the
    same way.

    Attributes:
        kind: its name.
        temperature: of the similarities; smaller weighs the nearest negatives more.
        label_smoothing: share of the probability spread over all sentences of the batch.
    """

    kind: Literal["contrastive"]
    temperature: float = 0.07
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        refuse(
            (self.temperature <= 0, f"temperature {self.temperature}, expected more than 0"),
            (not 0 <= self.label_smoothing < 1, f"label_smoothing {self.label_smoothing}, expected 0 or more, below 1"),
        )


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """The text's tokens, one after the other, from what the encoder returns; or from text embeddings without one.

    Attributes:
        kind: its name.
        label_smoothing: share of the probability spread over the whole vocabulary.
        noise: on embeddings that are decoded, in standard deviations of the targets.
    """

    kind: Literal["cross-entropy"]
    label_smoothing: float = 0.1
    noise: float = 0.0

    def __post_init__(self) -> None:
        refuse(
            (not 0 <= self.label_smoothing < 1, f"label_smoothing {self.label_smoothing}, expected 0 or more, below 1"),
            (self.noise < 0, f"noise {self.noise}, expected 0 or more"),
        )


@dataclass(frozen=True, kw_only=True)
class StgcnEncoder(_Encoder):
    """Uni-Sign's pose encoder, on the points of ``wholebody``."""

    kind: Literal["stgcn"]


Encoder: TypeAlias = SonarT5Encoder | MlpEncoder | FusionEncoder | TransformerEncoder | StgcnEncoder
Objective: TypeAlias = SonarSpace | CrossEntropy | Contrastive


def refuse(*checks: tuple[bool, str]) -> None:
    """Raise one UserError that tells what is wrong, for every pair that begins with True; none, nothing."""
    if mistakes := [said for wrong, said in checks if wrong]:
        raise UserError("; ".join(mistakes))


def _check_shape(kind: str, shape: Mapping[str, Any]) -> None:
    given = [name for name in FOLLOWS if name in shape]
    refuse((bool(given), f"shape gives {', '.join(given)}, which follow from the features and the decoder"))
    parse(resolve(SHAPES, kind, what="encoder"), shape, where="its shape")
