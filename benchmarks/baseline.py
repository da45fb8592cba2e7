"""Reimplementation of the public pipeline with our modules: the baseline of ``pipeline.py``.

It computes and masks padding, materialises attention matrices, holds the whole video in memory, detects faces in
full-size frames, decodes one language at a time, and initialises models randomly before reading and copying weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from benchmarks.extractor import timm_model
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


class MaskedHiera:
    """Hiera on all time steps of a window, with unfused attention and padding masked by minus infinity."""

    def __init__(self, config: SignHieraConfig, weights: Mapping[str, Tensor]) -> None:
        self.config = config
        self.model: Any = timm_model(config)
        self.model.load_state_dict(weights, strict=False)
        self.is_unit = [block.attn.use_mask_unit_attn for block in self.model.blocks]

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, padding: Tensor) -> Tensor:
        """(1, 3, T, H, W), (1,) → (N, feature_dim)."""
        config = self.config
        rows = config.rows_per_window
        n_real = rows - int(padding) // config.patch_stride[0]
        pixels = pixels.clone()
        pixels[:, :, n_real * config.patch_stride[0] :] = 0
        per_row = (config.input_size[1] // config.patch_stride[1]) * (config.input_size[2] // config.patch_stride[2])
        real = (torch.arange(rows) < n_real).repeat_interleave(per_row).view(1, -1, 1)
        real = self.model.unroll(real.float()).flatten().bool()  # per token, in the model's token order
        for block, is_unit in zip(self.model.blocks, self.is_unit, strict=True):
            block.attn.forward = partial(_attend, block.attn, is_unit, real)
            if block.attn.q_stride > 1:
                real = real.view(block.attn.q_stride, -1)[0]
        tokens = self.model.reroll(self.model.forward_features(pixels), len(self.model.blocks) - 1)
        return tokens.flatten(2, 3).mean(2)[0, :n_real]


def _attend(attention: Any, is_unit: bool, real: Tensor, x: Tensor) -> Tensor:
    batch, n, _ = x.shape
    windows = n // (attention.q_stride * attention.window_size) if is_unit else 1
    qkv = attention.qkv(x).reshape(batch, -1, windows, 3, attention.heads, attention.head_dim)
    q, k, v = qkv.permute(3, 0, 4, 2, 1, 5)  # each (B, heads, windows, tokens, head_dim)
    if attention.q_stride > 1:
        q = q.view(batch, attention.heads, windows, attention.q_stride, -1, attention.head_dim).amax(dim=3)
    scores = (q * attention.scale) @ k.transpose(-1, -2)
    if not is_unit:
        scores = scores + torch.where(real, 0.0, -torch.inf)
    found = scores.softmax(dim=-1) @ v
    return attention.proj(found.transpose(1, 3).reshape(batch, -1, attention.dim_out))


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
