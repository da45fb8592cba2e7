"""The whole of Uni-Sign's pose-only model against its recorded outputs: points to inputs, token ids and loss."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.config import StgcnConfig
from slt.models.fitting import build_model
from slt.models.stgcn import Stgcn
from slt.text.hf import kinds
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.search import BeamSearch
from tests.unisign_golden import CASES, PREFIX, points, record, seeded_weights, tensors

N_IDS = 160


class GoldenTokens:
    """The tokenizer of the record: ids of the prefix are read off it, and every id may be written."""

    spread, pad, end, size, forbidden, proto = 1, 0, 1, N_IDS, (), b""

    def __init__(self, proto, size):
        rows = tensors()["short.inputs_embeds"][: record()["cases"]["short"]["prefix_tokens"]]
        self.prefix = torch.cdist(rows, seeded_weights()["mt5_model.shared.weight"]).argmin(1).tolist()

    def prompt(self, lang):
        return [0]

    def target(self, text):
        return self.prefix if text == PREFIX else [int(one) for one in text.split()]


@pytest.fixture(scope="module")
def model():
    """Return encoder and decoder with the seeded weights."""
    weights = seeded_weights()
    pose = {name: value for name, value in weights.items() if not name.startswith(("mt5_model.", "pose_proj."))}
    with pytest.MonkeyPatch.context() as patch:
        tiny = dataclasses.replace(kinds.KINDS["mt5"], tokens=GoldenTokens)
        patch.setattr("slt.text.hf.decoder.KINDS", {**kinds.KINDS, "mt5": tiny})
        config = HfTextConfig(
            kind="mt5",
            feature_dim=1024,
            languages=("eng_Latn",),
            prefix=PREFIX,
            bridge="linear",
            model=record()["tiny_mt5"],
        )
        text = HfText(config, b"").eval()
    text.bridge[0].weight.data, text.bridge[0].bias.data = weights["pose_proj.weight"], weights["pose_proj.bias"]
    text.model.load_state_dict(
        {name.removeprefix("mt5_model."): value for name, value in weights.items() if name.startswith("mt5_model.")}
    )
    return build_model(Stgcn, StgcnConfig(), pose, source="the record"), text


def inputs(text, output):
    """Return the (B, P + N, 768) embeddings that mT5's encoder is given, and their mask."""
    return text._after_prefix(text.bridge(output.sequence), output.mask)


@pytest.mark.parametrize("case", CASES)
def test_a_clips_inputs_and_token_ids_are_the_recorded_ones(model, case):
    encoder, text = model
    with torch.inference_mode():
        output = encoder(FeatureBatch.of([points(case)]))
        torch.testing.assert_close(inputs(text, output)[0][0], tensors()[f"{case}.inputs_embeds"], rtol=0, atol=1e-5)
        search = BeamSearch(text.model, text.tokens, text._states(output), [[0]], beam_size=4, limits=[100])
        assert [0, *search.ids([0])[0]] == record()["cases"][case]["ids"]


def test_a_batch_padded_with_its_last_frames_is_the_recorded_one(model):
    encoder, text = model
    n_frames, n = {case: len(points(case)) for case in ("long", "mid")}, len(points("long"))
    padded = torch.cat([points("mid"), points("mid")[-1:].expand(n - n_frames["mid"], -1)])
    with torch.inference_mode():
        output = encoder(FeatureBatch.of([points("long"), padded]))
        torch.testing.assert_close(inputs(text, output)[0], tensors()["batch.inputs_embeds"], rtol=0, atol=1e-5)
        mask = torch.arange(n)[None] < torch.tensor(list(n_frames.values()))[:, None]
        known = EncoderOutput(sentence=output.sentence, sequence=output.sequence, mask=mask)
        states, mask = text._states(known)
        search = BeamSearch(text.model, text.tokens, (states, mask), [[0]] * 2, beam_size=4, limits=[100] * 2)
        found = search.ids([0, 1])
    assert [[0, *found[0]], [0, *found[4]]] == record()["cases"]["batch"]["ids"]


@pytest.mark.parametrize("case", CASES)
def test_the_loss_is_that_of_the_recorded_inputs(model, case):
    encoder, text = model
    ids = record()["cases"][case]["ids"][1:]
    with torch.no_grad():
        output = encoder(FeatureBatch.of([points(case)]))
        total, n = text.loss(output, [" ".join(map(str, ids))], ["eng_Latn"], label_smoothing=0.2)
        given = tensors()[f"{case}.inputs_embeds"][None]
        logits = text.model(inputs_embeds=given, labels=torch.tensor([ids])).logits[0]
    assert n == len(ids)
    expected = F.cross_entropy(logits, torch.tensor(ids), label_smoothing=record()["label_smoothing"])
    torch.testing.assert_close(total / n, expected, rtol=0, atol=1e-4)
