"""An extractor of one's own: the mean brightness of the parts of each frame. One file, and a row in ``FRONTENDS``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from slt.assets.store import find_bundle
from slt.bundle.load import load_part
from slt.core.config import parse
from slt.frontend.base import FrameInput, Frontend


@dataclass(frozen=True, kw_only=True)
class BrightnessConfig:
    parts: int = 4


class Brightness(nn.Module):
    Config: ClassVar = BrightnessConfig
    OLD_NAMES: ClassVar = {}
    UNUSED_WEIGHTS: ClassVar = ()

    def __init__(self, config):
        super().__init__()
        self.parts = config.parts
        self.scale = nn.Parameter(torch.ones(config.parts**2))

    def forward(self, frames):
        grey = frames.float().mean(-1, keepdim=False)[:, None] / 255
        return nn.functional.adaptive_avg_pool2d(grey, self.parts).flatten(1) * self.scale


class BrightnessFrontend(Frontend):
    def __init__(self, settings):
        self._bundle = find_bundle(settings.model)
        card = self._bundle.card
        super().__init__(settings, card.preprocess)
        self.card, self.licence = card.extractor, card.licence
        self.weights, self.weights_sha256 = self._bundle.extractor_weights()
        self.feature_dims = (parse(BrightnessConfig, card.extractor.config, where=card.name).parts ** 2,)

    def load_model(self):
        return load_part(self._bundle, self.card, Brightness, "extractor", self.device, self.settings.dtype)

    def inputs(self, clip, n_readings=1):
        for frame in clip.frames():
            yield FrameInput(content=frame, units=1)

    def features(self, inputs):
        frames = torch.from_numpy(np.stack([one.content for one in inputs])).to(self.device)
        return [(row,) for row in self.model(frames).split(1)]
