from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from slt.core.errors import UserError
from slt.recipe.trainer import Optim, Stage
from slt.train.decoders import Given, build_sonar
from slt.train.lora import add_lora, merge_lora
from slt.train.module import Training
from slt.train.optim import make_optimizer, parameter_groups, share_of_peak, stage_at


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
        self.decoder = nn.Linear(4, 2)


def test_groups_by_part_and_decay_with_learning_rates_of_their_own():
    groups = parameter_groups(Two(), Optim(lr=1.0, weight_decay=0.1, lr_factors={"encoder": 0.2}), ())
    told = {group.name: (group.lr, group.weight_decay, group.n_numbers) for group in groups}
    assert told == {
        "encoder/decay": (0.2, 0.1, 12),
        "encoder/no-decay": (0.2, 0.0, 12),
        "decoder/decay": (1.0, 0.1, 8),
        "decoder/no-decay": (1.0, 0.0, 2),
    }
    assert [group["name"] for group in make_optimizer(groups, Optim()).param_groups] == list(told)


def test_a_part_of_a_part_may_have_a_learning_rate_of_its_own():
    factors = {"encoder": 0.2, "encoder.1": 5.0}
    groups = parameter_groups(Two(), Optim(lr=1.0, lr_factors=factors), ())
    assert {group.name: group.lr for group in groups} == {
        "encoder/decay": 0.2,
        "encoder/no-decay": 0.2,
        "encoder.1/no-decay": 5.0,
        "decoder/decay": 1.0,
        "decoder/no-decay": 1.0,
    }
    with pytest.raises(UserError, match=r"lr_factors names encoder\.2, which fits no weight"):
        parameter_groups(Two(), Optim(lr_factors={"encoder.2": 5.0}), ())


def test_stages_split_groups():
    stages = (Stage(from_epoch=0, train=("decoder.*",)), Stage(from_epoch=2, train=("*",)))
    groups = {group.name: group.stages for group in parameter_groups(Two(), Optim(), stages)}
    assert groups["encoder/decay/stages-1"] == (False, True)
    assert groups["decoder/decay"] == (True, True)
    assert [stage_at(stages, epoch) for epoch in (0, 1, 2, 9)] == [0, 0, 1, 1]


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(UserError, match=r"stages train decodr\.\*, which fits no weight"):
        parameter_groups(Two(), Optim(), (Stage(from_epoch=0, train=("decodr.*",)),))
    with pytest.raises(UserError, match="nothing is to be trained"):
        parameter_groups(Two().requires_grad_(False), Optim(), ())


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("constant", 1, 1)]
)
def test_the_learning_rates_way(schedule, middle, end):
    optim = Optim(schedule=schedule, warmup_steps=10, min_lr=0.1)
    assert share_of_peak(0, 110, optim) == pytest.approx(1 / 11)
    assert share_of_peak(10, 110, optim) == 1
    assert share_of_peak(60, 110, optim) == pytest.approx(middle)
    assert share_of_peak(110, 110, optim) == pytest.approx(end)


def test_adapters_begin_as_nothing_and_merge_into_the_weights():
    model = nn.Sequential()
    model.q_proj, model.other = nn.Linear(5, 4), nn.Linear(4, 3)
    before, x = {name: value.clone() for name, value in model.state_dict().items()}, torch.randn(2, 5)
    assert add_lora(model, ("q_proj",), rank=2, alpha=4) == 1
    torch.testing.assert_close(model.q_proj(x), nn.functional.linear(x, before["q_proj.weight"], before["q_proj.bias"]))
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {f"q_proj.parametrizations.weight.0.{matrix}" for matrix in "ab"}
    with torch.no_grad():
        model.q_proj.parametrizations.weight[0].b.fill_(0.5)
    expected = model.q_proj(x)
    merge_lora(model)
    assert set(model.state_dict()) == set(before)
    torch.testing.assert_close(model.q_proj(x), expected)
    with pytest.raises(UserError, match="no layer of Sequential is called k_proj"):
        add_lora(model, ("k_proj",), rank=2, alpha=4)


@pytest.mark.parametrize("layers", [("q_proj", "v_proj"), ("output_proj",), ("inner_proj",)])
def test_either_text_engine_puts_adapters_on_the_layers_of_fairseq2s_names(make, layers):
    recipe = replace(make().decoder, train="lora", lora_layers=layers, lora_rank=2)
    given = Given(output={}, texts=(), langs=("eng_Latn",))
    texts = [build_sonar(replace(recipe, engine=engine), given)[0] for engine in ("fairseq2", "transformers")]
    adapted = [
        {
            text.stored_name("decoder", name.removeprefix("decoder."))
            for name, value in text.named_parameters()
            if value.requires_grad
        }
        for text in texts
    ]
    assert adapted[0] == adapted[1]
    assert adapted[0]


def test_a_text_decoder_goes_on_with_the_engine_that_trained_it():
    decoder = nn.Linear(2, 2)
    decoder.engine = "transformers"
    training = SimpleNamespace(decoder=decoder, trained_names=lambda: [])
    saved = {"state_dict": {}, "n_batches": 3, "text_engine": "fairseq2"}
    with pytest.raises(UserError, match="trained its text decoder with the text engine fairseq2, found transformers"):
        Training.on_load_checkpoint(training, saved)
    for same in ({**saved, "text_engine": "transformers"}, {name: saved[name] for name in ("state_dict", "n_batches")}):
        Training.on_load_checkpoint(training, same)
        assert training.n_batches == 3
    Training.on_load_checkpoint(SimpleNamespace(decoder=decoder.requires_grad_(False), trained_names=list), saved)
