from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from slt.core.errors import UserError
from slt.text.sonar_text import SonarTextModel
from slt.text.weights import EMBEDDING, OUTPUT_TABLE, fairseq2_weights
from tests.checkpoints import old_layout


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("copied", [False, True])
def test_the_old_layout_becomes_todays(golden: dict[str, Any], part: str, copied: bool) -> None:
    expected = {name: value for name, value in golden[part].items() if name != OUTPUT_TABLE}
    old = old_layout(golden[part], copied=copied)
    before = old["embed_tokens.weight"].clone()

    assert_equal(fairseq2_weights(old, part), expected)
    assert torch.equal(old["embed_tokens.weight"], before)


def test_the_old_layout_is_read_as_sonar_reads_it(golden: dict[str, Any]) -> None:
    from sonar.models.sonar_text.checkpoint import _convert_sonar_text_decoder_checkpoint

    old = old_layout(golden["decoder"])
    ours = fairseq2_weights(old, "decoder")
    theirs = _convert_sonar_text_decoder_checkpoint({"state_dict": old}, None)
    assert_equal(ours, {name: value for name, value in theirs.items() if name != OUTPUT_TABLE})


def test_a_model_in_the_old_layout_translates_the_same(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    old = type(golden_model).load(
        golden["config"],
        old_layout(golden["decoder"], copied=True),
        golden["tokenizer"],
        old_layout(golden["encoder"]),
    )
    embeddings = golden["embeddings"][:4]
    assert old.decode(embeddings, ["eng_Latn"]) == golden_model.decode(embeddings, ["eng_Latn"])
    assert torch.equal(old.embed(["mix areas"], "eng_Latn"), golden_model.embed(["mix areas"], "eng_Latn"))


def test_an_output_table_of_its_own_is_refused(golden: dict[str, Any]) -> None:
    changed = golden["decoder"][OUTPUT_TABLE].clone()
    changed[7] += 1
    for table in (changed, changed[:-1]):
        with pytest.raises(UserError, match=f"found {OUTPUT_TABLE} different from {EMBEDDING['decoder']}"):
            fairseq2_weights(golden["decoder"] | {OUTPUT_TABLE: table}, "decoder")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("decoder", {"decoder.layer_norm.bias": None}, r"1 missing \(decoder.layer_norm.bias\)"),
        ("decoder", {EMBEDDING["decoder"]: None, OUTPUT_TABLE: None}, r"missing \(decoder_frontend.embed.weight"),
        ("encoder", {"layer_norm.gain": torch.ones(64)}, r"1 unexpected \(layer_norm.gain\)"),
        ("encoder", {"layer_norm.bias": torch.ones(65)}, r"1 of another shape \(layer_norm.bias \(65,\) for \(64,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    golden: dict[str, Any], engine: type[SonarTextModel], part: str, change: dict[str, Tensor | None], message: str
) -> None:
    changed = {name: value for name, value in (golden[part] | change).items() if value is not None}
    weights = {"decoder": golden["decoder"], "encoder": golden["encoder"]} | {part: changed}
    with pytest.raises(UserError, match=f"SONAR text {part} does not fit .*{message}"):
        engine.load(golden["config"], weights["decoder"], golden["tokenizer"], weights["encoder"])


def test_no_weights_are_not_enough(golden: dict[str, Any], engine: type[SonarTextModel]) -> None:
    with pytest.raises(UserError, match="missing"):
        engine.load(golden["config"], golden["decoder"], golden["tokenizer"], {})
