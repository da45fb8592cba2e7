from __future__ import annotations

import pytest
import yaml

from slt.core.errors import UserError
from slt.recipe.load import check_verb, find_recipe, load_recipe, shipped_recipes, to_yaml
from slt.recipe.parts import SonarSpace
from slt.recipe.schema import VERBS


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_resolves_and_explains_every_key(name):
    fitting = [verb for verb in VERBS if not complains(name, verb)]
    assert fitting, f"no trainer takes {name}"
    recipe = load_recipe(name, fitting[0])
    assert recipe.name == name
    for line in find_recipe(name).read_text("utf-8").splitlines():
        assert not line.partition("#")[0].strip() or " # " in line, f"no comment on: {line}"


def complains(name, verb):
    try:
        load_recipe(name, verb)
    except UserError:
        return True
    return False


def test_what_is_written_is_read_back(tmp_path):
    recipe = load_recipe("how2sign", "train-encoder")
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    assert load_recipe(str(tmp_path / "recipe.yaml"), "train-encoder") == recipe


def test_keys_are_set_on_the_command_line():
    changes = ["optim.lr=1e-4", "data.langs=[eng_Latn, deu_Latn]", "trainer.wandb=signs", "objective.cosine=0.5"]
    recipe = load_recipe("synthetic", "train-encoder", changes)
    assert recipe.optim.lr == 1e-4
    assert recipe.data.langs == ("eng_Latn", "deu_Latn")
    assert recipe.trainer.wandb == "signs"
    assert isinstance(recipe.objective, SonarSpace)
    assert recipe.objective.cosine == 0.5


def test_every_mistake_is_told_at_once(tmp_path):
    values = yaml.safe_load(find_recipe("synthetic").read_text())
    values["encoder"]["shape"] |= {"num_head": 3, "feature_dim": 2}
    values["objectiv"] = {}
    values["optim"] |= {"lr": -1, "schedule": "cosin"}
    values["data"] |= {"workers": "two"}
    values["trainer"]["device"] = "tpu"
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="5 mistakes in") as raised:
        load_recipe(str(tmp_path / "bad.yaml"), "train-encoder")
    for said in (
        "objectiv: unknown, did you mean objective",
        "encoder: shape gives feature_dim",
        "optim.schedule: expected one of 'cosine', 'linear', 'constant'",
        "data.workers: expected an integer, found 'two'",
        "trainer.device: expected one of",
    ):
        assert said in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["encoder.kind=sonar-t6"], "encoder.kind: unknown 'sonar-t6', known: sonar-t5"),
        (["encoder=5"], "encoder: expected a group of keys with a kind, one of sonar-t5"),
        (["encoder.shape.d_model=0"], "d_model 0, expected at least 1"),
        (["objective.mse=0"], "every weight is 0"),
        (["objective.mse=-1"], "mse -1.0, expected a weight of 0 or more"),
        (["objective.temperature=0"], "temperature 0.0, expected more than 0"),
        (["trainer.precision=fp16"], "precision fp16 with a T5: its feed-forward layers exceed"),
        (["trainer.precision=fp16"], "or train adapters alone (encoder.lora_rank 16, trainer.frozen_weights half)"),
        (["trainer.precision=fp16", "encoder.lora_rank=2"], "precision fp16 with a T5"),
        (["trainer.frozen_weights=half"], "frozen_weights half with precision fp32: take precision bf16"),
        (
            ["trainer.frozen_weights=half", "trainer.precision=bf16", "trainer.strategy=fsdp"],
            "frozen_weights half with strategy fsdp",
        ),
        (["encoder.lora_rank=-1"], "lora_rank -1, expected 0 or more"),
        (["encoder.lora_rank=2", "encoder.frozen=true"], "frozen with lora_rank: take one of the two"),
        (["encoder.lora_alpha=0"], "lora_alpha 0.0, expected more than 0"),
        (["encoder.lora_layers=[]"], "lora_layers is empty"),
        (["trainer.precision=fp16", "trainer.device=cpu"], "precision fp16 on a CPU: take bf16, or fp32"),
        (["trainer.precision=fp16", "trainer.strategy=fsdp"], "precision fp16 with strategy fsdp: take bf16"),
        (["trainer.compile=true", "trainer.strategy=fsdp"], "compile with strategy fsdp: set one of the two"),
        (["trainer.monitor=bleu"], "monitor bleu needs text_every 1, found 2"),
        (["trainer.monitor=cross_entropy"], "monitor cross_entropy is a term that the objective does not have"),
        (["trainer.validate_every=1.5"], "expected whole epochs above 1"),
        (["stages=[{from_epoch: 1, train: [encoder.*]}]"], "starts at epoch 1, not 0"),
        (["stages=[{from_epoch: 0, train: []}, {from_epoch: 0, train: []}]"], "not in the order of their epochs"),
        (["decoder.train=lora"], "nothing of the objective goes through the decoder"),
        (["decoder.lora_rank=0"], "lora_rank 0, expected at least 1"),
        (["extractor.frozen=2"], "frozen 2.0, expected a share from 0 to 1"),
        (["extractor.frozen=0.5"], "train-encoder leaves the extractor as it is"),
        (["encoder.frozen=true"], "train-encoder needs an encoder to train"),
        (["data.langs=[]"], "langs is empty"),
        (["data.langs=[eng_Latn, eng_Latn]"], "langs names one twice"),
        (["data.train.features=null", "data.val.features=null"], "data.augment disturbs stored features"),
        (["data.augment.drop=1"], "drop 1.0, expected 0 or more, below 1"),
        (["optim.lr_factors={encodr: 1}"], "lr_factors names encodr"),
        (["name=a/b"], "name 'a/b', expected one that a folder can have"),
        (["extractor={kind: wholebody, skeleton: openpose-137}"], "skeleton openpose-137 is of pose-file, not of rtmw"),
        (["nonsense"], "--set nonsense: expected key=value"),
        (["optim.lr=[1"], "the value is not YAML"),
        (["name.first=x"], "name is no group of keys but 'synthetic'"),
    ],
)
def test_a_mistake_is_told_with_its_path(changes, said):
    with pytest.raises(UserError) as raised:
        load_recipe("synthetic", "train-encoder", changes)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "verb", "said"),
    [
        ("synthetic", "train-features", "needs an extractor with frozen below 1"),
        ("synthetic", "train-features", "remove data.*.features"),
        ("synthetic", "train-decoder", "needs decoder.train lora or full"),
        ("synthetic", "train-decoder", "set encoder.frozen=true"),
        ("synthetic-decoder", "train-encoder", "needs an encoder"),
    ],
)
def test_a_recipe_for_another_trainer_is_refused(name, verb, said):
    with pytest.raises(UserError) as raised:
        load_recipe(name, verb)
    assert said in str(raised.value)


def test_a_verb_nobody_knows_is_our_mistake():
    with pytest.raises(ValueError, match="train-nothing is none of"):
        check_verb(load_recipe("synthetic", "train-encoder"), "train-nothing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1\n", "is no recipe: expected keys and values"),
        ("name: a\nname: b\n", "name stands twice"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, said):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        load_recipe(str(tmp_path / "odd.yaml"), "train-encoder")
    assert said in str(raised.value)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="no recipe 'syntetic'") as raised:
        find_recipe("syntetic")
    assert "synthetic" in raised.value.fix


def test_a_recipe_that_cannot_be_read(tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not YAML"):
        load_recipe(str(path), "train-encoder")
