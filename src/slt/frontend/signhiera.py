"""SignHiera: windows of the signer's crop to features."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import cast

import torch
from torch import nn

from slt.assets.cards import PreprocessCard
from slt.assets.store import DEMO, find_bundle
from slt.bundle.load import load_part, window_geometry
from slt.core.config import parse
from slt.core.device import send_joined
from slt.core.errors import UserError
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import OpenClip
from slt.models.compiled import compile_signhiera
from slt.models.signhiera import SignHiera, SignHieraConfig, normalise
from slt.video.base import Video
from slt.video.stream import in_turn, late_starts
from slt.video.windows import plan_windows


class SignHieraFrontend(Frontend):
    """The SignHiera of a bundle.

    Raises:
        UserError: no such bundle, device or dtype; or the bundle's extractor is of another kind.

    Reference: facebookresearch/ssvp_slt; Ryali et al. 2023, arXiv 2306.00989.
    """

    unit = "windows"
    uses_crops = True

    def __init__(self, settings: Settings) -> None:
        self._bundle = find_bundle(settings.model or DEMO)
        card = self._bundle.card
        if card.extractor.kind != "signhiera":
            raise UserError(
                f"the extractor of {card.name} is {card.extractor.kind}, expected signhiera",
                fix="remove --extractor to use the model's own, or name another --model",
            )
        super().__init__(settings, card.preprocess)
        self.card, self.licence = card.extractor, card.licence
        self.weights, self.weights_sha256 = self._bundle.extractor_weights()
        self.config = parse(SignHieraConfig, card.extractor.config, where=f"the extractor in the card of {card.name}")
        self.feature_dims = (self.config.feature_dim,)
        self.input_bytes = card.preprocess.num_frames * card.preprocess.size**2 * 3

    def load_model(self) -> nn.Module:
        """See ``Frontend``."""
        model = load_part(self._bundle, self.card, SignHiera, "extractor", self.device, self.settings.dtype)
        if self.settings.compiles:
            compile_signhiera(cast(SignHiera, model))
        return model

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``."""
        return window_inputs(clip, self.preprocess, n_readings)

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; padded frames have no features."""
        weight = next(self.model.parameters())
        frames = send_joined([one.content[None] for one in inputs], weight.device)
        padding = torch.tensor([one.window.padding if one.window else 0 for one in inputs])
        return [(clip,) for clip in self.model(normalise(frames).to(weight.dtype), padding).clips()]

    def later_readings(self, read: Sequence[Streams], n_readings: int, n_frames: int) -> Sequence[Streams]:
        """See ``Frontend``; each reading has windows of its own."""
        return read

    def n_units(self, video: Video, n_readings: int = 1) -> int | None:
        """See ``Frontend``."""
        n_frames = video.info.n_frames
        if not n_frames:
            return None
        return n_readings * len(plan_windows(n_frames, video.info.fps, window_geometry(self.preprocess)))


def window_inputs(clip: OpenClip, preprocess: PreprocessCard, n_readings: int = 1) -> Generator[FrameInput, None, None]:
    """Cut the signer's crops into windows, (num_frames, size, size, 3) uint8; arguments as for ``Frontend.inputs``."""
    streams = late_starts(
        clip.crops(preprocess.size), n_readings, fps=clip.video.info.fps, geometry=window_geometry(preprocess)
    )
    for reading, window, pixels in in_turn(streams):
        yield FrameInput(content=pixels, units=1, window=window, reading=reading)
