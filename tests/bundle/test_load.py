# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from slt.assets.cards import read_card, write_card
from slt.bundle.load import load_bundle, load_text
from slt.core.errors import UserError
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.models import cpu_kernels
from slt.text.int8 import Int8Linear
from tests.bundles import LANGUAGES, add_domain, bundle, let_write, own_bundle

ENGINES = ["fairseq2", "transformers"]


def extractor_of(path, dtype="float32"):
    """The extractor's model of a bundle."""
    return load_frontend(None, Settings(model=str(path), device="cpu", dtype=dtype)).model


def test_a_bundle_becomes_models_that_are_ready_to_translate(bundle):
    loaded = load_bundle(bundle, device="cpu")
    assert loaded.card.name == "tiny"
    assert loaded.decoder.languages == LANGUAGES
    assert loaded.decoder.encoder is None
    assert loaded.domain is None
    for model in (extractor_of(bundle), loaded.encoder, loaded.decoder):
        assert not model.training
        assert {value.dtype for value in model.parameters()} == {torch.float32}
        assert {value.device.type for value in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("own_instructions", [True, False])
def test_another_dtype_is_that_of_all_products(bundle, dtype, own_instructions, monkeypatch):
    half = getattr(torch, dtype)
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: own_instructions or asked != half)
    loaded = load_bundle(bundle, device="cpu", dtype=dtype)
    for model in (extractor_of(bundle, dtype), loaded.encoder, loaded.decoder):
        assert {part.weight.dtype for part in model.modules() if cpu_kernels.is_linear(part)} == {half}
        others = {value.dtype for value in model.parameters() if value.ndim == 1}
        assert others == {half if own_instructions else torch.float32}


def test_the_text_decoder_may_have_a_dtype_of_its_own(bundle):
    loaded = load_bundle(bundle, device="cpu", text_dtype="bfloat16")
    assert {value.dtype for value in loaded.encoder.parameters()} == {torch.float32}
    assert {part.weight.dtype for part in loaded.decoder.modules() if cpu_kernels.is_linear(part)} == {torch.bfloat16}
    loaded = load_bundle(bundle, device="cpu", text_dtype="int8", text_encoder=True)
    assert isinstance(loaded.decoder.decoder.decoder.layers[0].ffn.inner_proj, Int8Linear)
    assert isinstance(loaded.decoder.encoder.encoder.layers[0].ffn.inner_proj, cpu_kernels.CpuLinear)


@pytest.mark.parametrize("text_dtype", [None, "int8"])
def test_a_model_leaves_memory_with_its_last_user(bundle, text_dtype):
    loaded = load_bundle(bundle, device="cpu", text_dtype=text_dtype)
    models = [weakref.ref(model) for model in (loaded.encoder, loaded.decoder)]
    gc.disable()
    try:
        del loaded
        assert [model() for model in models] == [None] * 2
    finally:
        gc.enable()


def test_whole_numbers_are_for_cpus(bundle, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="int8 is for text on a CPU"):
        load_bundle(bundle, device="cuda", text_dtype="int8")


def test_the_text_encoder_is_loaded_for_those_who_ask(bundle):
    loaded = load_bundle(bundle, device="cpu", text_encoder=True)
    assert loaded.decoder.embed(["we go hiking"], "eng_Latn").shape == (1, 32)


@pytest.mark.parametrize("kind", ["t5", "mbart"])
def test_texts_are_embedded_by_sonar_alone(own_bundle, kind):
    let_write(own_bundle, kind)
    with pytest.raises(UserError, match=f"writes with {kind}; embedding texts needs SONAR's text models") as caught:
        load_text(own_bundle)
    assert caught.value.fix == "take a bundle whose text decoder is SONAR's"


def test_a_domain_is_loaded_where_there_is_one(own_bundle):
    add_domain(own_bundle, threshold=7.0)
    domain = load_bundle(own_bundle, device="cpu").domain
    assert domain is not None
    assert float(domain.threshold) == 7


def test_an_extractor_without_its_weights_is_refused(own_bundle):
    card = read_card(own_bundle)
    write_card(own_bundle, replace(card, extractor=replace(card.extractor, weights=None)))
    with pytest.raises(UserError, match="the extractor signhiera of tiny needs weights, found none in its card"):
        extractor_of(own_bundle)


def test_a_configuration_with_mistakes_is_told_with_its_place(own_bundle):
    card = read_card(own_bundle)
    extractor = replace(card.extractor, config={**card.extractor.config, "embed_dmi": 4})
    write_card(own_bundle, replace(card, extractor=extractor))
    with pytest.raises(UserError, match="extractor in the card of tiny: embed_dmi: unknown"):
        extractor_of(own_bundle)


def test_other_dtypes_are_refused(bundle):
    with pytest.raises(UserError, match="unknown dtype 'int8'; expected float32, bfloat16, float16"):
        load_bundle(bundle, device="cpu", dtype="int8")
    with pytest.raises(UserError, match="unknown dtype 'int4'; expected float32, bfloat16, float16, and int8 for text"):
        load_bundle(bundle, device="cpu", text_dtype="int4")


def test_the_text_engine_is_the_callers_choice(bundle):
    loaded = [load_bundle(bundle, device="cpu", text_engine=name, text_dtype="bfloat16") for name in ENGINES]
    assert [one.decoder.engine for one in loaded] == ENGINES
    _, text = load_text(bundle, device="cpu", text_engine="transformers")
    assert text.engine == "transformers"
    small = load_bundle(bundle, device="cpu", text_engine="transformers", text_dtype="int8", text_encoder=True).decoder
    assert isinstance(small.decoder.decoder.layers[0].fc1, Int8Linear)
    assert isinstance(small.encoder.encoder.layers[0].fc1, cpu_kernels.CpuLinear)
    with pytest.raises(UserError, match="unknown text engine 'onnx'"):
        load_bundle(bundle, device="cpu", text_engine="onnx")


def test_fairseq2_computes_sonars_text_alone(own_bundle):
    let_write(own_bundle, "t5")
    with pytest.raises(UserError, match="fairseq2 is for SONAR's text models, but tiny writes with t5"):
        load_bundle(own_bundle, device="cpu", text_engine="fairseq2")
    assert load_bundle(own_bundle, device="cpu", text_engine="transformers").decoder.languages == LANGUAGES[:1]
