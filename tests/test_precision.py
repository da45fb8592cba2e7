"""Every precision stays within the bounds that docs/precision.md gives, on what the demo model and the goldens know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slt.core.tensors import FeatureBatch
from slt.data.synthetic.grammar import LANGUAGES
from slt.data.synthetic.labels import read_clips
from slt.demo.show import CLIPS
from slt.models import cpu_kernels
from slt.models.config import SonarT5Config
from slt.models.cpu_kernels import use_cpu_kernels
from slt.models.fitting import build_empty, load_strict
from slt.models.signhiera import SignHiera, SignHieraConfig, normalise
from slt.models.sonar_t5 import SonarT5
from slt.pipeline.translator import Translator

GOLDEN = Path(__file__).parent / "golden" / "tiny"
WAYS = {
    "bfloat16, arithmetic in float32": ("bfloat16", None, False),
    "float16, arithmetic in float32": ("float16", None, False),
    "bfloat16 throughout": ("bfloat16", None, True),
    "float16 throughout": ("float16", None, True),
    "text in int8": ("float32", "int8", True),
}
# Of features and embeddings, relative to their size; of scores in nats per token.
BOUNDS = {"bfloat16": 0.03, "float16": 0.004, "float32": 1e-5}
SCORE_BOUND = 0.05


def relative(found, expected):
    return float((found.float() - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def clip():
    return read_clips(CLIPS)[0].video


@pytest.fixture(scope="module")
def full(clip):
    return Translator("demo", device="cpu").translate(clip, LANGUAGES)


@pytest.mark.parametrize("way", WAYS)
def test_the_demo_model_says_the_same_in_every_precision(clip, full, way, monkeypatch):
    dtype, text_dtype, own_instructions = WAYS[way]
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: own_instructions or asked == torch.float32)
    found = Translator("demo", device="cpu", dtype=dtype, text_dtype=text_dtype).translate(clip, LANGUAGES)
    assert relative(found.features, full.features) < BOUNDS[dtype]
    assert relative(found.embedding, full.embedding) < BOUNDS[dtype]
    for lang in LANGUAGES:
        assert found.text(lang) == full.text(lang)
        assert abs(found.texts[lang][0].score - full.texts[lang][0].score) < SCORE_BOUND


def golden(name, prefix="weights."):
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    config = json.loads((GOLDEN / f"{name}.json").read_text())
    return (
        tensors,
        {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)},
        config,
    )


@pytest.mark.parametrize("own_instructions", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_goldens_hold_in_every_precision(dtype, own_instructions, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: own_instructions or asked == torch.float32)
    tensors, weights, described = golden("hiera_tiny_square")
    del described["config"]["num_classes"]
    extractor = build_empty(lambda: SignHiera(SignHieraConfig(**described["config"])))
    load_strict(extractor, weights, unused=SignHiera.UNUSED_WEIGHTS)
    use_cpu_kernels(extractor.eval().to(getattr(torch, dtype)))
    pixels = normalise(tensors["input_frames_u8"]).to(next(extractor.parameters()).dtype)
    with torch.inference_mode():
        features = torch.cat(extractor(pixels).clips())
    assert relative(features, tensors["out.features_no_padding"]) < BOUNDS[dtype]

    tensors, weights, described = golden("t5_sonar_tiny")
    fixed = ("feed_forward_proj", "tie_word_embeddings", "decoder_start_token_id")
    shape = {name: value for name, value in described["config"].items() if name not in fixed}
    encoder = build_empty(lambda: SonarT5(SonarT5Config(**shape, output_dim=described["output_dim"])))
    load_strict(encoder, weights)
    use_cpu_kernels(encoder.eval().to(getattr(torch, dtype)))
    batch = FeatureBatch.of([tensors["input.len40"].to(next(encoder.parameters()).dtype)])
    with torch.inference_mode():
        found = encoder(batch).sentence[0]
    assert relative(found, tensors["out.len40.sentence_embedding"]) < BOUNDS[dtype]
