"""Every encoder, decoder and objective that a recipe may name builds and takes a step."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import torch

from slt.recipe.parts import ON_KEYPOINTS, CrossEntropy, Decoder, Encoder, Objective, SonarSpace
from slt.registry import ENCODERS
from slt.train.dry import random_targets
from slt.train.objectives import OBJECTIVES
from slt.train.optim import make_optimizer
from slt.train.parts import DECODERS
from slt.train.prepare import prepare, train_loader
from slt.train.run import build_module
from tests.train.conftest import SHAPE, only_keypoints

SMALL = {"d_model": 8, "num_heads": 2, "d_ff": 16}
SHAPES = {
    "sonar-t5": {**SHAPE, "vocab_size": 4},
    "mlp": {"hidden_dim": 8},
    "fusion": {**SMALL, "num_visual_layers": 1, "num_blocks": 1, "kernel_size": 3},
    "transformer": {**SMALL, "num_layers": 1},
}
TERMS = ("mse", "cosine", "contrastive", "cross_entropy", "auto_encoding")
SETTINGS = {"sonar-space": dict.fromkeys(TERMS, 1.0), "cross-entropy": {"noise": 0.1}, "contrastive": {}}


def kinds(union):
    """Return the kinds of a recipe's part."""
    options = get_args(union) or (union,)
    return [get_args(get_type_hints(option)["kind"])[0] for option in options]


def test_whatever_a_recipe_may_name_can_be_built():
    assert set(kinds(Encoder)) <= set(ENCODERS)
    assert set(kinds(Decoder)) == set(DECODERS)
    assert set(kinds(Objective)) == set(OBJECTIVES)


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
    settings = {"kind": objective, **SETTINGS[objective]}
    splits = two_streams if encoder == "fusion" else {name: only_keypoints(one) for name, one in two_streams.items()}
    on_keypoints = {"extractor": None, "data": splits} if encoder in ON_KEYPOINTS else {}
    recipe = make(
        **on_keypoints,
        encoder={"kind": encoder, "shape": SHAPES[encoder]},
        decoder={"kind": "sonar", "bundle": make().decoder.bundle, "train": train, "lora_rank": 2},
        objective=settings,
    )
    prepared = prepare(recipe, random_targets, processes=1)
    module = build_module(recipe, prepared)
    module.train()
    batch = next(iter(train_loader(recipe, prepared, (0, 1))))
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    optimizer = make_optimizer(module.groups, recipe.optim)
    output, terms = module.terms(batch)
    assert output.sentence.shape == batch.targets.shape
    assert set(terms) == (set(TERMS) if objective == "sonar-space" else {objective.replace("-", "_")})
    torch.stack([term.weight * term.total / term.count for term in terms.values()]).sum().backward()
    optimizer.step()
    changed = {name.partition(".")[0] for name, weight in module.named_parameters() if not weight.equal(before[name])}
    assert changed == {"encoder"} | ({"decoder"} if train != "frozen" else set())


def test_each_kinds_own_dataclass_is_what_parsing_gives(make):
    assert isinstance(make().objective, SonarSpace)
    assert isinstance(make(objective={"kind": "cross-entropy"}).objective, CrossEntropy)
