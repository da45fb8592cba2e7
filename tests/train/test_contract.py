"""Every encoder, decoder and objective that a recipe may name builds and takes a step."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import torch

from slt.core.errors import UserError
from slt.core.registry import ENCODERS
from slt.recipe.decoders import Decoder
from slt.recipe.parts import ON_KEYPOINTS, CrossEntropy, Encoder, Objective, SonarSpace
from slt.train.decoders import DECODERS
from slt.train.dry_run import random_targets
from slt.train.objectives import OBJECTIVES
from slt.train.optim import make_optimizer
from slt.train.prepare import prepare, train_loader
from slt.train.run import build_module
from tests.train.conftest import HF, SHAPE, only_keypoints

SMALL = {"d_model": 8, "num_heads": 2, "d_ff": 16}
SHAPES = {
    "sonar-t5": {**SHAPE, "vocab_size": 4},
    "mlp": {"hidden_dim": 8},
    "fusion": {**SMALL, "num_visual_layers": 1, "num_blocks": 1, "kernel_size": 3},
    "transformer": {**SMALL, "num_layers": 1},
    "stgcn": {"width": 8, "max_frames": 4},
}
TERMS = ("mse", "cosine", "contrastive", "cross_entropy", "auto_encoding")
SETTINGS = {"sonar-space": dict.fromkeys(TERMS, 1.0), "cross-entropy": {"noise": 0.1}, "contrastive": {}}


def kinds(union):
    """Return the kinds of a recipe's part."""
    options = get_args(union) or (union,)
    return [get_args(get_type_hints(option)["kind"])[0] for option in options]


def test_whatever_a_recipe_may_name_can_be_built():
    assert set(kinds(Encoder)) <= set(ENCODERS)
    assert set(kinds(Decoder)) == set(DECODERS) == {"sonar", *HF}
    assert set(kinds(Objective)) == set(OBJECTIVES)


def step(recipe):
    """Take a step; return the batch, what the encoder made of it, the terms, and which weights changed."""
    prepared = prepare(recipe, random_targets, processes=1)
    module = build_module(recipe, prepared)
    module.train()
    batch = next(iter(train_loader(recipe, prepared, (0, 1))))
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    optimizer = make_optimizer(module.groups, recipe.optim)
    output, terms = module.terms(batch)
    torch.stack([term.weight * term.total / term.count for term in terms.values()]).sum().backward()
    optimizer.step()
    idle = [name for group in module.groups for name, weight in group.weights.items() if weight.grad is None]
    assert not idle, "what is trained but not used keeps several processes from training together"
    changed = {name for name, weight in module.named_parameters() if not weight.equal(before[name])}
    return batch, output, terms, changed


def reading(encoder, two_streams):
    """Return what a recipe says of an encoder of this kind and its features."""
    kind = ON_KEYPOINTS.get(encoder, "keypoints")
    splits = two_streams
    if encoder != "fusion":
        splits = {name: only_keypoints(one, kind) for name, one in two_streams.items()}
    on_keypoints = {"extractor": None, "data": splits} if encoder in ON_KEYPOINTS else {}
    return {**on_keypoints, "encoder": {"kind": encoder, "shape": SHAPES[encoder]}}


@pytest.mark.parametrize("encoder", kinds(Encoder))
@pytest.mark.parametrize(
    ("train", "objective"),
    [
        (train, objective)
        for train in ("frozen", "lora", "full")
        for objective in kinds(Objective)
        if objective != "contrastive" or train == "frozen"  # nothing is decoded
    ],
)
def test_it_takes_a_step(make, two_streams, encoder, train, objective):
    recipe = make(
        **reading(encoder, two_streams),
        decoder={"kind": "sonar", "bundle": make().decoder.bundle, "train": train, "lora_rank": 2},
        objective={"kind": objective, **SETTINGS[objective]},
    )
    batch, output, terms, changed = step(recipe)
    assert output.sentence.shape == batch.targets.shape
    assert set(terms) == (set(TERMS) if objective == "sonar-space" else {objective.replace("-", "_")})
    assert {name.partition(".")[0] for name in changed} == {"encoder"} | ({"decoder"} if train != "frozen" else set())


@pytest.mark.parametrize("encoder", kinds(Encoder))
@pytest.mark.parametrize("decoder", sorted(HF))
@pytest.mark.parametrize("train", ["frozen", "full"])
@pytest.mark.parametrize("source", ["sequence", "sentence"])
def test_it_takes_a_step_with_a_decoder_of_transformers(make, two_streams, encoder, decoder, train, source):
    recipe = make(
        **reading(encoder, two_streams),
        decoder={"kind": decoder, "shape": HF[decoder], "vocab_size": 60, "train": train, "source": source},
        objective={"kind": "cross-entropy"},
        trainer={"monitor": "loss"},
    )
    batch, _, terms, changed = step(recipe)
    assert batch.targets.shape == (len(batch.ids), 0), "nothing is compared with SONAR's embeddings"
    assert set(terms) == {"cross_entropy"}
    assert any(name.startswith("encoder.") for name in changed)
    assert any(name.startswith("decoder.bridge.") for name in changed)
    assert any(name.startswith("decoder.model.") for name in changed) == (train == "full")


@pytest.mark.parametrize("encoder", kinds(Encoder))
@pytest.mark.parametrize("decoder", sorted(HF))
def test_it_is_aligned_with_the_text_encoder_of_transformers(make, two_streams, encoder, decoder):
    recipe = make(
        **reading(encoder, two_streams),
        decoder={"kind": decoder, "shape": HF[decoder], "vocab_size": 60, "train": "frozen"},
        objective={"kind": "contrastive"},
    )
    batch, output, terms, changed = step(recipe)
    assert output.sentence.shape == batch.targets.shape == (len(batch.ids), HF[decoder]["d_model"])
    assert set(terms) == {"contrastive"}
    assert {name.partition(".")[0] for name in changed} == {"encoder"}


@pytest.mark.parametrize("decoder", sorted(HF))
@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"objective": {"kind": "sonar-space"}}, "objective sonar-space with a {}, which has no such space"),
        ({"objective": {"kind": "contrastive"}}, "decoder.train full, but nothing of the objective goes through"),
        ({"encoder": None, "extractor": None}, "decoder {} without an encoder: it would have nothing to read"),
        ({"objective": {"kind": "cross-entropy", "noise": 0.1}}, "noise is on SONAR's embeddings, which a {} does not"),
        ({"trainer": {"monitor": "cosine"}}, "monitor cosine is a figure of embeddings beside those of the texts"),
    ],
)
def test_what_makes_no_sense_with_a_decoder_of_transformers_is_refused(make, decoder, groups, said):
    usual = {"objective": {"kind": "cross-entropy"}, "trainer": {"monitor": "loss"}}
    with pytest.raises(UserError) as raised:
        make(**{**usual, "decoder": {"kind": decoder, "shape": HF[decoder]}, **groups})
    assert said.format(decoder) in str(raised.value)


def test_each_kinds_own_dataclass_is_what_parsing_gives(make):
    assert isinstance(make().objective, SonarSpace)
    assert isinstance(make(objective={"kind": "cross-entropy"}).objective, CrossEntropy)
