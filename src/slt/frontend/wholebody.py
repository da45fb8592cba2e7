"""Whole-body points: 133 points of body, feet, face and hands with x, y and score, 399 numbers for every frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.cards import EVERY_FRAME, ExtractorCard, PreprocessCard
from slt.assets.store import find_bundle
from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.streams import Stream, bundle_streams
from slt.models.wholebody import MIN_SCORE
from slt.video.base import Frame
from slt.video.cache import CACHE_BYTES
from slt.video.crop import SignerBox
from slt.video.detect import POSE_FILE, RTMW
from slt.video.rtmw import Rtmw, RtmwFiles, find_files
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, SKELETONS, skeleton_named

KIND = "wholebody"
SOURCES = (RTMW, POSE_FILE)
"""Where points come from."""

MODELS: Mapping[tuple[str, str], str] = {
    (RTMW, COCO_WHOLEBODY_133.name): "rtmw-l-m-256x192",
    (POSE_FILE, MEDIAPIPE_75.name): "mediapipe-holistic-1",
}
"""Source and skeleton → what found the points, for the header of a store; of others only the detector is known."""

FRAMES_PER_INPUT = 16


class WholebodyFrontend(Frontend):
    """Whole-body points of every frame, found by RTMW in the whole picture, or read from a keypoint file.

    Features are (T, 399) float32: x from 0 to 1 across the picture, y likewise down, and score; NaN where a point was
    not looked for. ``--detector`` says where they come from: ``rtmw``, ``rtmw=DIR`` with the folder of both ONNX files,
    or ``pose-file``. ``--skeleton`` says what these files hold, and alone asks for them: ``coco-wholebody-133``, all
    points; ``openpose-137``; without it MediaPipe's joints, among which none are of the face.

    Raises:
        UserError: another source or skeleton was named, or a model that does not read whole-body points.
    """

    feature_dims = (COCO_WHOLEBODY_133.width,)
    joints = COCO_WHOLEBODY_133.name

    def __init__(self, settings: Settings) -> None:
        card = find_bundle(settings.model).card if settings.model else None
        if card and KIND not in [stream.kind for stream in bundle_streams(card)]:
            raise UserError(
                f"the model {card.name} reads {card.extractor.kind}, not whole-body points", fix="remove --model"
            )
        by_default = POSE_FILE if settings.skeleton else RTMW
        super().__init__(settings, card.preprocess if card else replace(EVERY_FRAME, detector=by_default))
        source, _, folder = self.preprocess.detector.partition("=")
        if source not in SOURCES or (folder and source != RTMW):
            raise UserError(
                f"whole-body points do not come from {self.preprocess.detector!r}",
                fix=f"--detector {RTMW}, {RTMW}=DIR or {POSE_FILE}",
            )
        # A folder is of this machine: a card and a store say only where points come from.
        self.preprocess = replace(self.preprocess, detector=source)
        self._folder = Path(folder).expanduser() if folder else None
        self.uses_keypoints = source == POSE_FILE
        self.uses_pictures = source == RTMW
        self.skeleton = self._choose_skeleton(card.extractor if card else None)
        config = {} if self.skeleton == MEDIAPIPE_75.name else {"skeleton": self.skeleton}
        self.card = ExtractorCard(kind=KIND, config=config, weights=None)
        self._rtmw: Rtmw | None = None
        self._loading = threading.Lock()

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        found_as = COCO_WHOLEBODY_133
        if preprocess.detector == POSE_FILE:
            found_as = SKELETONS[card.config.get("skeleton", MEDIAPIPE_75.name)]
        geometry = {
            "model": MODELS.get((preprocess.detector, found_as.name), found_as.detector),
            "detector": found_as.detector,
            "skeleton": COCO_WHOLEBODY_133.name,
            "unit": "normalised",
            "target_fps": preprocess.target_fps,
        }
        return (Stream(kind=KIND, geometry=geometry, weights_sha256=sha256, has_gaps=True),)

    @property
    def headers(self) -> tuple[StoreHeader, ...]:
        """See ``Frontend``; a store also records the hash of the ONNX files that made it."""
        sha256 = self._files().sha256() if self.uses_pictures else None
        return tuple(replace(header, weights_sha256=sha256) for header in super().headers)

    def load(self) -> WholebodyFrontend:
        """See ``Frontend``.

        Raises:
            UserError: the ONNX files are absent, or are something else.
        """
        with self._loading:
            if self._rtmw is None and self.uses_pictures:
                self._rtmw = Rtmw(self._files(), str(self.device))
        return self

    @property
    def face_detector(self) -> str:
        """See ``Frontend``; the whole picture is looked at."""
        return "none"

    def _choose_skeleton(self, extractor: ExtractorCard | None) -> str:
        """Return the skeleton of keypoint files, by the settings or the model.

        Raises:
            UserError: no such skeleton, another than the model's, or none is read.
        """
        asked = self.settings.skeleton
        if asked is not None:
            skeleton_named(asked)
        own: str | None = extractor.config.get("skeleton", MEDIAPIPE_75.name) if extractor else None
        if asked and self.uses_pictures:
            raise UserError(
                f"--skeleton {asked} is of keypoint files, and points are looked for by {RTMW}",
                fix=f"remove --skeleton, or add --detector {POSE_FILE}",
            )
        if asked and own and asked != own:
            raise UserError(f"the model {self.settings.model} reads {own}, not {asked}", fix="remove --skeleton")
        return asked or own or MEDIAPIPE_75.name

    def _files(self) -> RtmwFiles:
        return find_files(self._folder)

    def open(self, clip: ClipSource, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES) -> OpenClip:
        """See ``Frontend``; the first person that RTMW's detector finds is the signer.

        Raises:
            UserError: there is no such video, or no ``.pose`` file of it where points are read from one.
        """
        if self.uses_keypoints and clip.pose is None and clip.path and clip.path.suffix.lower() != ".pose":
            raise UserError(
                f"there is no .pose file of {clip.path}, and whole-body points are read from one",
                fix=f"put it beside the video, or detect them: --detector {RTMW}",
            )
        return super().open(clip, signer=signer, cache_bytes=cache_bytes)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``."""
        with closing(self._points(clip)) as points:
            while rows := list(islice(points, FRAMES_PER_INPUT)):
                yield FrameInput(content=np.stack(rows), units=len(rows))

    def _points(self, clip: OpenClip) -> Generator[NDArray[np.float32], None, None]:
        """Yield the points of each frame, (399,) float32."""
        if self.uses_keypoints:
            with closing(clip.keypoints(_nobody)) as points:
                yield from points
        elif find := self.load()._rtmw:
            with closing(clip.frames()) as frames:
                yield from (find(frame).reshape(-1) for frame in frames)

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; RTMW ran where the video was decoded."""
        return [(torch.from_numpy(one.content),) for one in inputs]

    def is_empty(self, features: Streams) -> bool:
        """See ``Frontend``."""
        return not bool((features[0][:, 2::3] > MIN_SCORE).any())


def _nobody() -> AbstractContextManager[Callable[[Frame], NDArray[np.float32]]]:
    """Provide what sees no one: a video without a keypoint file is a blank one."""
    return nullcontext(lambda frame: np.full((len(COCO_WHOLEBODY_133.joints), 3), np.nan, np.float32))
