# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slt.assets.cards import read_card, write_card
from slt.bundle import choose_device, choose_dtype, load_bundle
from slt.errors import UserError
from tests.bundles import LANGUAGES, add_domain, bundle, own_bundle


def test_a_bundle_becomes_models_that_are_ready_to_translate(bundle):
    loaded = load_bundle(bundle, device="cpu")
    assert loaded.card.name == "tiny"
    assert (loaded.geometry.num_frames, loaded.geometry.stride_frames, loaded.geometry.target_fps) == (16, 8, 25)
    assert loaded.decoder.languages == LANGUAGES
    assert loaded.decoder.encoder is None
    assert loaded.domain is None
    for model in (loaded.extractor, loaded.encoder, loaded.decoder):
        assert not model.training
        assert {value.dtype for value in model.parameters()} == {torch.float32}
        assert {value.device.type for value in model.parameters()} == {"cpu"}


def test_another_dtype_is_that_of_every_model(bundle):
    loaded = load_bundle(bundle, device="cpu", dtype="bfloat16")
    for model in (loaded.extractor, loaded.encoder, loaded.decoder):
        assert {value.dtype for value in model.parameters()} == {torch.bfloat16}


def test_the_text_encoder_is_loaded_for_those_who_ask(bundle):
    loaded = load_bundle(bundle, device="cpu", text_encoder=True)
    assert loaded.decoder.embed(["we go hiking"], "eng_Latn").shape == (1, 32)


def test_a_domain_is_loaded_where_there_is_one(own_bundle):
    add_domain(own_bundle, threshold=7.0)
    domain = load_bundle(own_bundle, device="cpu").domain
    assert domain is not None
    assert float(domain.threshold) == 7


def test_a_configuration_with_mistakes_is_told_with_its_place(own_bundle):
    card = read_card(own_bundle)
    extractor = replace(card.extractor, config={**card.extractor.config, "embed_dmi": 4})
    write_card(own_bundle, replace(card, extractor=extractor))
    with pytest.raises(UserError, match="extractor in the card of tiny: embed_dmi: unknown"):
        load_bundle(own_bundle, device="cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tpu", "unknown device 'tpu'; expected auto, cpu, cuda or cuda:N"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("cuda:99", "cuda:99 was asked for, but torch sees .* GPUs here"),
    ],
)
def test_devices_that_are_not_there_are_refused(name, said):
    with pytest.raises(UserError, match=said):
        choose_device(name)


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda")])
def test_a_gpu_is_used_when_there_is_one(gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    assert choose_device("auto") == torch.device(device)


def test_a_gpu_may_be_chosen_by_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="torch sees 2 GPUs"):
        choose_device("cuda:2")


def test_dtypes_of_no_use_are_refused():
    with pytest.raises(UserError, match="unknown dtype 'int8'; expected float32, bfloat16, float16"):
        choose_dtype("int8", torch.device("cpu"))
    with pytest.raises(UserError, match="float16 is of no use on a CPU"):
        choose_dtype("float16", torch.device("cpu"))
    assert choose_dtype("float16", torch.device("cuda")) == torch.float16
