"""The sign encoder gives the public implementation's numbers, alone and in a batch, and can be trained."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.models.config import SonarT5Config
from slt.models.fitting import build_empty, load_strict, rename
from slt.models.sonar_t5 import SonarT5

GOLDEN = Path(__file__).parents[1] / "golden"
FIXED = ("feed_forward_proj", "tie_word_embeddings", "decoder_start_token_id")
TINY = SonarT5Config(
    feature_dim=6,
    output_dim=5,
    d_model=16,
    d_kv=4,
    d_ff=24,
    num_layers=2,
    num_decoder_layers=1,
    num_heads=2,
    vocab_size=3,
)


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "tiny/t5_sonar_tiny.safetensors")


@pytest.fixture(scope="module")
def golden_config():
    described = json.loads((GOLDEN / "tiny/t5_sonar_tiny.json").read_text())
    shape = {name: value for name, value in described["config"].items() if name not in FIXED}
    return SonarT5Config(**shape, output_dim=described["output_dim"])


def golden_weights(golden):
    return {name.removeprefix("weights."): value for name, value in golden.items() if name.startswith("weights.")}


@pytest.fixture(scope="module")
def golden_model(golden, golden_config):
    model = build_empty(lambda: SonarT5(golden_config))
    load_strict(model, golden_weights(golden))
    return model.eval()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return SonarT5(TINY)


def clips(*lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, TINY.feature_dim, generator=generator) for length in lengths]


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 5, 40, 150])
def test_embedding_equals_the_public_implementation(golden, golden_model, length):
    output = golden_model(FeatureBatch.of([golden[f"input.len{length}"]]))
    torch.testing.assert_close(output.sentence[0], golden[f"out.len{length}.sentence_embedding"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_states_equal_the_public_implementation(golden, golden_model):
    output = golden_model(FeatureBatch.of([golden["input.len40"]]))
    torch.testing.assert_close(output.sequence[0], golden["out.len40.encoded_seqs"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_padded_batch_equals_the_public_implementation(golden, golden_model):
    batch = FeatureBatch(features=golden["input.batch_40_5"], lengths=golden["input.batch_40_5_lengths"])
    output = golden_model(batch)
    expected = golden["out.batch_40_5_masked.sentence_embedding"]
    torch.testing.assert_close(output.sentence, expected, atol=1e-5, rtol=0)
    assert output.mask.sum(1).tolist() == [40, 5]


def test_state_is_the_published_one():
    rows = (GOLDEN / "keys/sign_t5_sonar_encoder_t5_v1_1_large.tsv").read_text().splitlines()[1:]
    expected = {row.split("\t")[0]: row.split("\t")[1] for row in rows}
    own = build_empty(lambda: SonarT5(SonarT5Config())).state_dict()
    assert {name: "x".join(map(str, value.shape)) for name, value in own.items()} == expected


def test_old_names_are_understood(golden, golden_config, golden_model):
    new = "encoder.feature_projection.feature_proj"
    old = {name.replace(new, "encoder.feature_proj"): value for name, value in golden_weights(golden).items()}
    assert {name for name in old if "feature" in name} == {
        "encoder.feature_proj.weight",
        "encoder.feature_proj.bias",
        "encoder.feature_proj_scale",
    }
    model = build_empty(lambda: SonarT5(golden_config))
    load_strict(model, rename(old, SonarT5.OLD_NAMES))
    own = golden_model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


@torch.no_grad()
def test_a_clip_does_not_depend_on_its_batch_nor_on_what_stands_in_its_padding(tiny):
    tiny.eval()
    short, long = clips(3, 9)
    batch = FeatureBatch.of([short, long])
    batch.features[0, 3:] = torch.nan
    together = tiny(batch)
    for row, clip in enumerate((short, long)):
        alone = tiny(FeatureBatch.of([clip]))
        torch.testing.assert_close(together.sentence[row], alone.sentence[0], atol=5e-6, rtol=0)
        torch.testing.assert_close(together.sequence[row, : len(clip)], alone.sequence[0], atol=5e-6, rtol=0)


def test_every_weight_in_use_is_trained(tiny):
    tiny(FeatureBatch.of(clips(3, 9))).sentence.square().sum().backward()
    # One query token attends to itself alone: what its self-attention asks for makes no difference.
    idle = [name for name, value in tiny.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle
    assert all("decoder.block.0.layer.0.SelfAttention." in name for name in idle)
    assert not any(name.endswith((".v.weight", ".o.weight")) for name in idle)
    assert all(value.grad.isfinite().all() for value in tiny.parameters() if value.grad is not None)


def test_dropout_works_in_training_only():
    model = SonarT5(replace(TINY, dropout_rate=0.5))
    batch = FeatureBatch.of(clips(4))
    assert not torch.equal(model(batch).sentence, model(batch).sentence)
    model.eval()
    assert torch.equal(model(batch).sentence, model(batch).sentence)


def test_config_survives_a_card():
    assert parse(SonarT5Config, json.loads(json.dumps(asdict(TINY))), where="a card") == TINY


@torch.no_grad()
def test_half_precision_stays_near(tiny):
    batch = FeatureBatch.of(clips(3, 9))
    expected = tiny.eval()(batch).sentence
    half = FeatureBatch(features=batch.features.bfloat16(), lengths=batch.lengths)
    found = tiny.bfloat16()(half).sentence
    assert found.dtype == torch.bfloat16
    assert torch.cosine_similarity(found.float(), expected, dim=-1).min() > 0.99


def test_impossible_sizes_are_refused_all_at_once():
    with pytest.raises(UserError, match="num_heads 0, expected at least 1; dropout_rate 1, expected 0 or more"):
        SonarT5Config(num_heads=0, dropout_rate=1)
