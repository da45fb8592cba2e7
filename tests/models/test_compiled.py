"""Compiling SignHiera: the same features, and a reason where it cannot be done."""

from __future__ import annotations

import pytest
import torch

from slt.models import compiled
from slt.models.compiled import compile_signhiera
from slt.models.signhiera import SignHiera, SignHieraConfig

SHAPE = {
    "input_size": (8, 16, 16),
    "embed_dim": 4,
    "stages": (1, 2),
    "q_pool": 1,
    "mask_unit_size": (1, 2, 2),
    "mask_unit_attn": (True, False),
}
PADDINGS = ([0, 0, 0], [0, 3, 6])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SignHiera(SignHieraConfig(**SHAPE)).eval()


@torch.inference_mode()
def features(model):
    torch.manual_seed(1)
    pixels = torch.randn(3, 3, 8, 16, 16)
    return [clip for padding in PADDINGS for clip in model(pixels, torch.tensor(padding)).clips()]


@pytest.mark.slow
def test_features_and_names_stay_the_same(model, monkeypatch):
    expected, names = features(model), list(model.state_dict())
    compiled_blocks = []

    def backend(graph, _):
        compiled_blocks.append(graph)
        return graph.forward

    monkeypatch.setattr(compiled, "BACKEND", backend)
    assert compile_signhiera(model)
    for ours, theirs in zip(features(model), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (before := len(compiled_blocks)) >= len(model.blocks)
    with torch.inference_mode():
        for n_padded in (0, 3):
            model(torch.zeros(1, 3, 8, 16, 16), torch.tensor([n_padded]))
    assert len(compiled_blocks) == before
    assert list(model.state_dict()) == names


@pytest.mark.slow
def test_where_it_cannot_be_done_a_warning_says_why_and_the_model_runs_as_it_is(model, monkeypatch, capsys):
    expected = features(model)

    def backend(graph, _):
        raise RuntimeError("Cannot find a working triton installation")

    monkeypatch.setattr(compiled, "BACKEND", backend)
    assert not compile_signhiera(model)
    assert "SignHiera is not compiled" in (said := capsys.readouterr().err)
    assert "triton" in said
    for ours, theirs in zip(features(model), expected, strict=True):
        assert ours.equal(theirs)
