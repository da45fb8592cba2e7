"""Keypoints of every frame and SigLIP's embedding of every second one: two streams, each with a length of its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice

import numpy as np
import torch

from slt.assets.cards import ExtractorCard, PreprocessCard
from slt.frontend.base import FrameInput, Settings, Streams, skip_steps
from slt.frontend.clip import OpenClip
from slt.frontend.keypoints import HolisticPool, keypoint_stream, nothing_detected
from slt.frontend.siglip import PICTURES_PER_INPUT, SiglipFrontend, fitted, picture_stream
from slt.frontend.streams import Stream
from slt.models.config import KEYPOINTS_DIM


class KeypointSiglipFrontend(SiglipFrontend):
    """Both of ``KeypointFrontend`` and ``SiglipFrontend``, from one reading of the video.

    Raises:
        UserError: as for ``SiglipFrontend``.
    """

    kind = "keypoints+siglip"
    uses_keypoints = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.feature_dims = (KEYPOINTS_DIM, *self.feature_dims)
        self._holistic = HolisticPool()

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        return keypoint_stream(preprocess), picture_stream(preprocess, sha256)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``; ((k, 225) float32 keypoints, (n, H, W, 3) uint8 pictures).

        Keypoints from a file, whose rate is their own, all come with the first pictures.
        """
        known = clip.video.joints()
        rate = self.preprocess.sampling_rate
        with closing(clip.frames()) as frames, self._holistic.lend() as detect:
            while some := list(islice(frames, PICTURES_PER_INPUT * rate)):
                rows = np.stack([detect(frame).reshape(-1) for frame in some]) if known is None else known
                known = None if known is None else known[:0]
                pictures = [fitted(self.config.pictures, frame, clip.signer) for frame in some[::rate]]
                yield FrameInput(content=(rows, np.stack(pictures)), units=len(some))

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; keypoints are float32 whatever the model computes in."""
        pictures = self.embed([one.content[1] for one in inputs])
        keypoints = [torch.from_numpy(one.content[0]) for one in inputs]
        return list(zip(keypoints, pictures, strict=True))

    def later_readings(self, read: Sequence[Streams], n_readings: int, n_frames: int) -> Sequence[Streams]:
        """See ``Frontend``; a step is a picture's duration."""
        keypoints, pictures = read[0]
        step = max(1, round(self.preprocess.sampling_rate * len(keypoints) / n_frames))
        return skip_steps((keypoints, pictures), n_readings, (step, 1))

    def is_empty(self, features: Streams) -> bool:
        """See ``Frontend``."""
        return nothing_detected(features)
