"""Keypoints: 75 landmarks of body and hands with x, y and z, 225 numbers for every frame."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch

from slt.assets.cards import EVERY_FRAME, ExtractorCard, PreprocessCard
from slt.assets.store import find_bundle
from slt.core.errors import UserError
from slt.frontend.base import FrameInput, Frontend, OpenClip, Settings, Streams
from slt.frontend.streams import Stream, bundle_streams
from slt.models.config import KEYPOINTS_DIM
from slt.video.keypoints import Holistic

KIND = "keypoints"
FRAMES_PER_INPUT = 32


class KeypointFrontend(Frontend):
    """Keypoints of every frame, detected by MediaPipe Holistic in the whole picture, or read from a ``.pose`` file.

    Features are (T, 225) float32: x and y from 0 to 1 across the picture, z in picture widths; NaN where a landmark was
    not detected. Nothing is converted to half precision, which would move a landmark by half a pixel at 1920.

    Raises:
        UserError: a detector was named, or a model that does not read keypoints.
    """

    uses_keypoints = True
    uses_pictures = False
    feature_dims = (KEYPOINTS_DIM,)

    def __init__(self, settings: Settings) -> None:
        card = find_bundle(settings.model).card if settings.model else None
        if card and KIND not in [stream.kind for stream in bundle_streams(card)]:
            raise UserError(f"the model {card.name} reads {card.extractor.kind}, not keypoints", fix="remove --model")
        refuse_detector(settings, card.name if card else None)
        super().__init__(settings, card.preprocess if card else EVERY_FRAME)
        self.card = ExtractorCard(kind=KIND, config={}, weights=None)
        self._holistic = HolisticPool()

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        return (keypoint_stream(preprocess),)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``."""
        keypoints = clip.keypoints(self._holistic.lend)
        while rows := list(islice(keypoints, FRAMES_PER_INPUT)):
            yield FrameInput(content=np.stack(rows), units=len(rows))

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; Holistic ran where the video was decoded."""
        return [(self.on_device(one.content),) for one in inputs]

    def is_empty(self, features: Streams) -> bool:
        """See ``Frontend``."""
        return nothing_detected(features)


def keypoint_stream(preprocess: PreprocessCard) -> Stream:
    """Return the stream of MediaPipe Holistic's keypoints."""
    geometry = {"model": "mediapipe-holistic-1", "target_fps": preprocess.target_fps}
    return Stream(kind=KIND, geometry=geometry, has_gaps=True)


def nothing_detected(features: Streams) -> bool:
    """Return whether no landmark was detected in any frame of the first stream."""
    return not bool(torch.isfinite(features[0]).any())


def refuse_detector(settings: Settings, model: str | None) -> None:
    """Refuse a face detector.

    Raises:
        UserError: one was named.
    """
    if settings.detector:
        whose = f"the model {model} reads keypoints, for which" if model else "keypoints:"
        raise UserError(
            f"{whose} MediaPipe Holistic finds the signer itself; found --detector {settings.detector}",
            fix="remove --detector",
        )


class HolisticPool:
    """MediaPipe Holistic graphs that were used before, to be used again; making one takes half a second."""

    def __init__(self) -> None:
        self._idle: list[Holistic] = []

    @contextmanager
    def lend(self) -> Iterator[Holistic]:
        """Provide a graph that has seen no frame of another video; one at a time to each thread."""
        if self._idle:
            holistic = self._idle.pop()
            holistic.restart()
        else:
            holistic = Holistic()
        yield holistic
        self._idle.append(holistic)
