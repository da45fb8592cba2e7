"""SigLIP: every second frame to one embedding."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from slt.assets.cards import ExtractorCard, PreprocessCard, sha256_of
from slt.assets.store import Bundle, find_bundle, is_bundle
from slt.bundle.load import load_part, place
from slt.core.config import parse
from slt.core.device import send_joined
from slt.core.errors import UserError
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import OpenClip
from slt.frontend.streams import Stream
from slt.models.pictures import Pictures, weights_of
from slt.models.siglip import Siglip, SiglipConfig, siglip_config
from slt.recipe.load import plain
from slt.video.base import Frame
from slt.video.crop import WHOLE_PICTURE, SignerBox, crop

KIND = "siglip"
EVERY_SECOND_FRAME = PreprocessCard(num_frames=1, sampling_rate=2, stride_frames=1, detector="none")
"""Embedding pictures costs too much for a higher rate."""

PICTURES_PER_INPUT = 16


class SiglipFrontend(Frontend):
    """The image encoder of a SigLIP, from a transformers folder or from a bundle.

    Without a detector it sees the whole picture, as its own processor resizes it; with one, the squared signer crop.

    Raises:
        UserError: no model was named, it is no SigLIP, or there is no such device, dtype or detector.
    """

    kind = KIND

    def __init__(self, settings: Settings) -> None:
        require_model(self.kind, settings)
        model = str(settings.model)
        self._bundle = find_bundle(model) if is_bundle(model) else None
        super().__init__(settings, self._bundle.card.preprocess if self._bundle else EVERY_SECOND_FRAME)
        if self._bundle:
            self._describe_bundle(self._bundle)
        else:
            self._describe_folder(Path(model).expanduser())
        self.card = ExtractorCard(kind=self.kind, config=plain(asdict(self.config)), weights=self.weights.name)
        self.feature_dims = (self.config.feature_dim,)
        self.input_bytes = PICTURES_PER_INPUT * self.config.pictures.n_bytes

    def _describe_bundle(self, bundle: Bundle) -> None:
        card = bundle.card.extractor
        weights, self.weights_sha256 = bundle.extractor_weights()
        if KIND not in card.kind or weights is None:
            raise UserError(
                f"the extractor of {bundle.card.name} is {card.kind}, expected one with a SigLIP",
                fix="name the folder of a SigLIP, or a bundle with one",
            )
        self.config = parse(SiglipConfig, card.config, where=f"the extractor in the card of {bundle.card.name}")
        self.weights: Path = weights
        self.licence = bundle.card.licence

    def _describe_folder(self, folder: Path) -> None:
        self.config, self.weights = siglip_config(folder), weights_of(folder)
        self.weights_sha256 = sha256_of(self.weights)
        self.licence = f"unknown (of the SigLIP {folder.name})"

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        return (picture_stream(preprocess, sha256),)

    def load_model(self) -> nn.Module:
        """See ``Frontend``."""
        if self._bundle:
            card = self._bundle.card.extractor
            return load_part(self._bundle, card, Siglip, "extractor", self.device, self.settings.dtype)
        return place(Siglip.from_folder(self.weights.parent), self.device, self.settings.dtype)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``; (n, H, W, 3) uint8 pictures, resized for the model."""
        frames = clip.frames()
        rate = self.preprocess.sampling_rate
        while some := list(islice(frames, PICTURES_PER_INPUT * rate)):
            pictures = [fitted(self.config.pictures, frame, clip.signer) for frame in some[::rate]]
            yield FrameInput(content=np.stack(pictures), units=len(some))

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; one embedding per picture."""
        return [(rows,) for rows in self.embed([one.content for one in inputs])]

    def embed(self, pictures: Sequence[NDArray[np.uint8]]) -> tuple[torch.Tensor, ...]:
        """Embed pictures of several inputs, (n_i, H, W, 3) uint8 each, together; return (n_i, feature_dim) of each."""
        return self.model(send_joined(pictures, self.device)).split([len(some) for some in pictures])


def picture_stream(preprocess: PreprocessCard, weights_sha256: str | None) -> Stream:
    """Return the stream of SigLIP's embeddings."""
    geometry = {name: getattr(preprocess, name) for name in ("target_fps", "sampling_rate", "detector")}
    return Stream(kind=KIND, geometry=geometry, weights_sha256=weights_sha256)


def fitted(pictures: Pictures, frame: Frame, signer: SignerBox) -> Frame:
    """Return a frame as a model takes it: the whole picture, or the squared crop when a detector found the signer."""
    return pictures.fit(frame if signer.method == WHOLE_PICTURE else crop(frame, signer.box))


def require_model(kind: str, settings: Settings) -> None:
    """Check that a model was named.

    Raises:
        UserError: none was.
    """
    if settings.model is None:
        raise UserError(
            f"--extractor {kind} needs --model: the folder of a {kind} model",
            fix="give --model DIR, with config.json, preprocessor_config.json and model.safetensors in it",
        )
