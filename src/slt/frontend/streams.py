"""The streams of features that each kind of extractor makes, as the stores they are kept in describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slt.assets.cards import BundleCard, ExtractorCard, PreprocessCard
from slt.data.features.header import StoreHeader

EVERY_FRAME = PreprocessCard(num_frames=1, sampling_rate=1, stride_frames=1, detector="none")
EVERY_SECOND_FRAME = PreprocessCard(num_frames=1, sampling_rate=2, stride_frames=1, detector="none")
"""How those that look at single frames take them: joints move too fast for less, pictures cost too much for more."""

FRAMES = {"keypoints": EVERY_FRAME, "siglip": EVERY_SECOND_FRAME, "keypoints+siglip": EVERY_SECOND_FRAME}
"""The same by the kind of extractor."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of features.

    Attributes:
        kind: what makes it, as ``slt extract-features --extractor`` calls that.
        geometry: everything but the weights that its numbers depend on.
        weights_sha256: of the extractor's weights; None: it has none, or any will do.
    """

    kind: str
    geometry: Mapping[str, Any]
    weights_sha256: str | None = None

    def check(self, header: StoreHeader, *, where: Path, fix: str, feature_dim: int | None = None) -> None:
        """See that a store holds this stream; what nobody noted is not compared.

        Args:
            header: the store's.
            where: the store, for the error.
            fix: the command that makes what is wanted.
            feature_dim: the width that is wanted, where somebody knows.

        Raises:
            UserError: it holds other features; every difference is named.
        """
        header.check_fits(
            where=where,
            fix=fix,
            extractor=self.kind,
            weights_sha256=self.weights_sha256,
            geometry=self.geometry,
            feature_dim=feature_dim,
        )


def keypoint_stream(preprocess: PreprocessCard = EVERY_FRAME) -> Stream:
    """Return the stream of MediaPipe Holistic's joints."""
    return Stream(kind="keypoints", geometry={"model": "mediapipe-holistic-1", "target_fps": preprocess.target_fps})


def picture_stream(preprocess: PreprocessCard = EVERY_SECOND_FRAME, weights_sha256: str | None = None) -> Stream:
    """Return the stream of SigLIP's embeddings."""
    taken = {name: getattr(preprocess, name) for name in ("target_fps", "sampling_rate", "detector")}
    return Stream(kind="siglip", geometry=taken, weights_sha256=weights_sha256)


def streams_of(extractor: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
    """Return the streams that an extractor makes, in the order in which sign encoders take them.

    Args:
        extractor: which.
        preprocess: how it takes videos.
        sha256: of its weights; None: it has none, or any will do.
    """
    joints, pictures = keypoint_stream(preprocess), picture_stream(preprocess, sha256)
    own = {"keypoints": (joints,), "siglip": (pictures,), "keypoints+siglip": (joints, pictures)}
    windows = Stream(kind=extractor.kind, geometry=asdict(preprocess), weights_sha256=sha256)
    return own.get(extractor.kind, (windows,))


def bundle_streams(card: BundleCard) -> tuple[Stream, ...]:
    """Return the streams that a bundle's extractor makes."""
    weights = card.extractor.weights
    return streams_of(card.extractor, card.preprocess, card.sha256.get(weights) if weights else None)
