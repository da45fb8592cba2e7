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
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.streams import Stream, bundle_streams
from slt.models.config import KEYPOINTS_DIM
from slt.video.base import Video
from slt.video.cache import CACHE_BYTES
from slt.video.crop import SignerBox
from slt.video.keypoints import N_JOINTS, Holistic
from slt.video.pose_file import NO_SIZE, holds_keypoints
from slt.video.skeletons import MEDIAPIPE_75, SKELETONS, skeleton_named

KIND = "keypoints"
FRAMES_PER_INPUT = 32
UNIT, SQUARE = "unit", "width"
NO_SHAPE = (
    "keypoints without a picture size, and with no video at hand, were taken for those of a square picture: "
    "hands of another are distorted"
)


class KeypointFrontend(Frontend):
    """Keypoints of every frame, detected by MediaPipe Holistic in the whole picture, or read from a keypoint file.

    Features are (T, 225) float32: x and y from 0 to 1 across the picture, z in picture widths; NaN where a landmark was
    not detected. Nothing is converted to half precision, which would move a landmark by half a pixel at 1920.

    With another ``skeleton`` than MediaPipe's, keypoint files are of that skeleton and converted, and videos without
    one are refused: what MediaPipe sees in them would be other joints than those of the files.

    For a model whose card says so (``"unit": "width"``), y is in picture widths, too: the shape of a hand then does not
    depend on the picture's.

    Raises:
        UserError: a detector was named, a model that does not read keypoints, or another skeleton than the model's.
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
        self.skeleton = _choose_skeleton(settings, card.extractor if card else None)
        self.is_square = bool(card and card.extractor.config.get(UNIT) == SQUARE)
        config = {} if self.skeleton == MEDIAPIPE_75.name else {"skeleton": self.skeleton}
        config |= {UNIT: SQUARE} if self.is_square else {}
        self.card = ExtractorCard(kind=KIND, config=config, weights=None)
        self._holistic = HolisticPool()

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        return (keypoint_stream(preprocess, card.config.get("skeleton"), unit=card.config.get(UNIT)),)

    def open(self, clip: ClipSource, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES) -> OpenClip:
        """See ``Frontend``.

        Raises:
            UserError: as there; or joints would have to be detected, and those of another skeleton are wanted.
        """
        known = clip.pose is not None or (clip.path is not None and holds_keypoints(clip.path))
        if self.skeleton != MEDIAPIPE_75.name and not known:
            raise UserError(
                f"no keypoints of {clip.id or clip.path}: expected a file of {self.skeleton}, which slt cannot detect",
                fix="name its keypoint file in the manifest's column pose",
            )
        return super().open(clip, signer=signer, cache_bytes=cache_bytes)

    def at_rate(self, video: Video, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES) -> OpenClip:
        """See ``Frontend``."""
        if self.is_square and video.info.height == video.info.width == NO_SIZE:
            video.warn(NO_SHAPE)
        return super().at_rate(video, signer=signer, cache_bytes=cache_bytes)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``."""
        keypoints = clip.keypoints(self._holistic.lend)
        info = clip.video.info
        scale = np.tile(np.array([1, info.height / info.width if self.is_square else 1, 1], np.float32), N_JOINTS)
        while rows := list(islice(keypoints, FRAMES_PER_INPUT)):
            yield FrameInput(content=np.stack(rows) * scale, units=len(rows))

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; Holistic ran where the video was decoded."""
        return [(torch.from_numpy(one.content),) for one in inputs]

    def is_empty(self, features: Streams) -> bool:
        """See ``Frontend``."""
        return nothing_detected(features)


def keypoint_stream(preprocess: PreprocessCard, skeleton: str | None = None, *, unit: str | None = None) -> Stream:
    """Return the stream of MediaPipe Holistic's keypoints, or of those of another detector converted to its joints.

    Args:
        preprocess: its frame rate.
        skeleton: what the keypoints were converted from; None: they are MediaPipe's own.
        unit: of x and y; None: shares of the picture.
    """
    detector = SKELETONS[skeleton or MEDIAPIPE_75.name].detector
    geometry = {
        "model": "mediapipe-holistic-1" if detector == MEDIAPIPE_75.detector else detector,
        "detector": detector,
        "skeleton": MEDIAPIPE_75.name,
        "unit": unit or "normalised",
        "target_fps": preprocess.target_fps,
    }
    return Stream(kind=KIND, geometry=geometry, has_gaps=True)


def _choose_skeleton(settings: Settings, extractor: ExtractorCard | None) -> str:
    """Return the skeleton of keypoint files, by the settings or the model.

    Raises:
        UserError: no such skeleton, or another than the model's.
    """
    asked = settings.skeleton
    if asked is not None:
        skeleton_named(asked)
    own: str | None = extractor.config.get("skeleton", MEDIAPIPE_75.name) if extractor else None
    if asked and own and SKELETONS[asked].detector != SKELETONS[own].detector:
        raise UserError(f"the model {settings.model} reads {own}, not {asked}", fix="remove --skeleton")
    chosen = asked or own or MEDIAPIPE_75.name
    # A selection of MediaPipe's joints is MediaPipe's.
    return MEDIAPIPE_75.name if SKELETONS[chosen].detector == MEDIAPIPE_75.detector else chosen


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
