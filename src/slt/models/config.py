"""Configurations of the sign encoders in cards and recipes; does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from slt.core.errors import UserError
from slt.video.keypoints import N_JOINTS
from slt.video.skeletons import COCO_WHOLEBODY_133

KEYPOINTS_DIM = 3 * N_JOINTS  # x, y and z of each


WHOLEBODY_DIM = COCO_WHOLEBODY_133.width  # x, y and score of each
KEYPOINT_DIMS = {"keypoints": KEYPOINTS_DIM, "wholebody": WHOLEBODY_DIM}
"""Numbers per frame, by extractor."""


@dataclass(frozen=True, kw_only=True)
class SonarT5Config:
    """Shape of a SONAR sign encoder; the defaults are those of the published one (T5-v1.1-large).

    Attributes:
        feature_dim: width of one input feature.
        output_dim: width of a sentence embedding.
        d_model: width of the transformer.
        d_kv: width of one attention head.
        d_ff: inner width of the feed-forward layers.
        num_layers: encoder layers.
        num_decoder_layers: layers of the pooling decoder.
        num_heads: attention heads.
        vocab_size: rows of the token embedding; only one, the pooling query, is used.
        relative_attention_num_buckets: buckets of the relative position bias.
        relative_attention_max_distance: distance in time steps beyond which all share the last bucket.
        dropout_rate: of every dropout in the transformer, during training.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = 768
    output_dim: int = 1024
    d_model: int = 1024
    d_kv: int = 64
    d_ff: int = 2816
    num_layers: int = 24
    num_decoder_layers: int = 24
    num_heads: int = 16
    vocab_size: int = 32128
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        _refuse("SONAR sign encoder", sizes, self.dropout_rate)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Shape of a sign encoder that processes each feature independently.

    Attributes:
        feature_dim: width of one input feature.
        hidden_dim: width between the two layers.
        output_dim: width of a sentence embedding.
        length: Euclidean norm of every embedding; SONAR's decoder uses it, so training sets it to the targets' mean.
        dropout_rate: dropout before the second layer, during training.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = 256
    hidden_dim: int = 512
    output_dim: int = 1024
    length: float = 1.0
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("feature_dim", "hidden_dim", "output_dim")}
        _refuse("mlp sign encoder", sizes, self.dropout_rate)
        if not 0 < self.length < float("inf"):
            raise UserError(f"bad mlp sign encoder configuration: length {self.length}, expected more than 0")


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Shape of a sign encoder on keypoints and image embeddings.

    Attributes:
        feature_dim: width of a frame's keypoints; only ``KEYPOINTS_DIM`` is allowed.
        visual_dim: width of an image embedding.
        output_dim: width of a sentence embedding.
        d_model: width of all hidden states.
        num_heads: attention heads.
        d_ff: inner width of the feed-forward layers.
        num_visual_layers: transformer layers on the image embeddings.
        num_blocks: Squeezeformer blocks on the fused sequence.
        kernel_size: kernel of their convolutions in time steps; odd.
        dropout_rate: of every dropout, during training.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = KEYPOINTS_DIM
    visual_dim: int = 768
    output_dim: int = 1024
    d_model: int = 384
    num_heads: int = 6
    d_ff: int = 1536
    num_visual_layers: int = 2
    num_blocks: int = 4
    kernel_size: int = 31
    dropout_rate: float = 0.1

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        even = [] if self.kernel_size % 2 else [f"kernel_size {self.kernel_size}, expected an odd number"]
        _refuse("fusion sign encoder", sizes, self.dropout_rate, [*_on_keypoints(sizes), *even])


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Shape of a small transformer on keypoints.

    Attributes:
        feature_dim: width of a frame's keypoints; only ``KEYPOINTS_DIM`` is allowed.
        output_dim: width of a sentence embedding.
        d_model: width of the transformer.
        num_heads: attention heads.
        d_ff: inner width of the feed-forward layers.
        num_layers: transformer layers.
        dropout_rate: of every dropout, during training.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = KEYPOINTS_DIM
    output_dim: int = 1024
    d_model: int = 256
    num_heads: int = 4
    d_ff: int = 1024
    num_layers: int = 6
    dropout_rate: float = 0.1

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        _refuse("transformer sign encoder", sizes, self.dropout_rate, _on_keypoints(sizes))


@dataclass(frozen=True, kw_only=True)
class StgcnConfig:
    """Shape of Uni-Sign's pose encoder; the defaults are the published one's.

    Attributes:
        feature_dim: width of a frame's points; only ``WHOLEBODY_DIM`` is allowed.
        width: of the states of one part, a multiple of 4; the encoder's states are four parts side by side.
        output_dim: width of a sentence embedding; 0: the mean of the states is the embedding.
        max_frames: of a longer clip so many evenly spaced frames are read; 0: all.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = WHOLEBODY_DIM
    width: int = 256
    output_dim: int = 0
    max_frames: int = 256

    @property
    def d_model(self) -> int:
        """Width of the states."""
        return 4 * self.width

    def __post_init__(self) -> None:
        mistakes = [f"max_frames {self.max_frames}, expected 0 or more"] if self.max_frames < 0 else []
        if self.feature_dim != WHOLEBODY_DIM:
            found = f"feature_dim {self.feature_dim}, expected {WHOLEBODY_DIM} (x, y, score of 133 points)"
            mistakes.append(found)
        if self.width < 4 or self.width % 4:
            mistakes.append(f"width {self.width}, expected a multiple of 4")
        if self.output_dim < 0:
            mistakes.append(f"output_dim {self.output_dim}, expected 0 or more")
        _refuse("stgcn sign encoder", {}, 0.0, mistakes)


@dataclass(frozen=True, kw_only=True)
class SpellingConfig:
    """Shape of the sign encoder of fingerspelling.

    Attributes:
        feature_dim: width of a frame's keypoints; only ``KEYPOINTS_DIM`` is allowed.
        d_model: width of all hidden states.
        num_blocks: blocks of a convolution over time and a feed-forward layer.
        kernel_size: of these convolutions, in steps of two frames; odd.
        dropout_rate: of every dropout, during training.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    feature_dim: int = KEYPOINTS_DIM
    d_model: int = 128
    num_blocks: int = 3
    kernel_size: int = 7
    dropout_rate: float = 0.15

    @property
    def output_dim(self) -> int:
        """Width of a sentence embedding: the mean of the states."""
        return self.d_model

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        mistakes = [] if self.kernel_size % 2 else [f"kernel_size {self.kernel_size}, expected an odd number"]
        if self.feature_dim != KEYPOINTS_DIM:
            found = f"feature_dim {self.feature_dim}, expected {KEYPOINTS_DIM} (x, y, z of {N_JOINTS} joints)"
            mistakes.append(found)
        _refuse("spelling sign encoder", sizes, self.dropout_rate, mistakes)


def _on_keypoints(sizes: dict[str, int]) -> list[str]:
    width, heads = sizes["d_model"], sizes["num_heads"]
    checks = (
        (
            sizes["feature_dim"] != KEYPOINTS_DIM,
            f"feature_dim {sizes['feature_dim']}, expected {KEYPOINTS_DIM} (x, y, z of {N_JOINTS} joints)",
        ),
        (width % 2 != 0, f"d_model {width}, expected an even number"),
        (heads > 0 and width % heads != 0, f"d_model {width}, expected a multiple of num_heads {heads}"),
    )
    return [message for wrong, message in checks if wrong]


def _refuse(what: str, sizes: dict[str, int], dropout_rate: float, others: Sequence[str] = ()) -> None:
    mistakes = [f"{name} {value}, expected at least 1" for name, value in sizes.items() if value < 1]
    mistakes += others
    if not 0 <= dropout_rate < 1:
        mistakes.append(f"dropout_rate {dropout_rate}, expected 0 or more, less than 1")
    if mistakes:
        raise UserError(f"bad {what} configuration: " + "; ".join(mistakes))
