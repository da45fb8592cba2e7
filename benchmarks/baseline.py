"""Reimplementation of the public pipeline with our modules: the baseline of ``pipeline.py``.

It holds the whole video in memory, detects faces in full-size frames, decodes one language at a time, and initialises
models randomly before reading and copying weights. ``plain_hiera.py`` computes its features.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from slt.assets.store import find_bundle
from slt.core.config import parse
from slt.models.config import SonarT5Config
from slt.models.cpu_kernels import CpuLinear, replace
from slt.models.signhiera import SignHiera, SignHieraConfig
from slt.models.sonar_t5 import SonarT5
from slt.models.swap import SwappedModule
from slt.text.config import SonarTextConfig
from slt.text.decoder import Hypothesis
from slt.text.sonar.build import create_decoder
from slt.text.sonar.model import SonarText
from slt.text.sonar.tokens import load_tokenizer
from slt.video.boxes import Box
from slt.video.crop import crop_resize
from slt.video.decode import open_video

FACE_EVERY = 16


def restore_original_modules(module: nn.Module) -> None:
    """Undo every module replacement in a float32 model."""

    def before(_: str, part: nn.Module) -> nn.Module:
        if isinstance(part, SwappedModule):
            return part.original
        if isinstance(part, CpuLinear):
            linear = nn.Linear(*part.weight.shape[::-1], device="meta")
            linear.weight, linear.bias = part.weight, part.bias
            return linear
        return part

    replace(module, before)
    replace(module, before)  # parts of swapped modules


def crop_whole_video(path: Path, box: Box, size: int) -> NDArray[np.uint8]:
    """Read the whole video, detect faces in full-size frames, and crop the signer at ``box``."""
    import dlib

    frames = np.stack(list(open_video(path).frames()))
    detector = dlib.get_frontal_face_detector()
    for frame in frames[::FACE_EVERY]:
        detector(frame, 1)
    return np.stack([crop_resize(frame, box, size) for frame in frames])


def translate_one_by_one(text: SonarText, embedding: Tensor, langs: Sequence[str], max_tokens: int) -> list[Hypothesis]:
    """Decode one language at a time."""
    return [text.decode(embedding, [lang], max_tokens=max_tokens)[0][lang][0] for lang in langs]


def load_at_random_first(folder: Path) -> tuple[nn.Module, ...]:
    """Initialise models randomly, read their whole files, and copy the weights."""
    bundle = find_bundle(folder)
    card = bundle.card
    text = SonarTextConfig.from_json({**card.decoder.config, "languages": card.languages})
    tokenizer = load_tokenizer(bundle.path(card.decoder.tokenizer), text.languages)
    models = {
        card.extractor.weights: SignHiera(parse(SignHieraConfig, card.extractor.config, where="the card")),
        card.encoder.weights: SonarT5(parse(SonarT5Config, card.encoder.config, where="the card")),
        card.decoder.weights: create_decoder(text, tokenizer.vocab_info.size),
    }
    for file, model in models.items():
        model.load_state_dict(load(bundle.path(file).read_bytes()), strict=False)
    return tuple(models.values())
