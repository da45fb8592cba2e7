"""A decoder in whole numbers writes nearly the same, whatever shares its search, and keeps what it does not replace."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from slt.core.errors import UserError
from slt.text import int8
from slt.text.sonar_text import SonarTextModel

pytestmark = pytest.mark.skipif("fbgemm" not in torch.backends.quantized.supported_engines, reason="not an x86")


@pytest.fixture
def whole(golden: dict[str, Any], engine: type[SonarTextModel]) -> SonarTextModel:
    model = engine.load(golden["config"], golden["decoder"], golden["tokenizer"], golden["encoder"])
    int8.quantise(model)
    return model


def whole_numbers(linear: torch.nn.Linear) -> torch.nn.Module:
    parts = torch.nn.ModuleDict({"decoder": linear})
    int8.quantise(parts)
    return parts["decoder"]


def test_nearly_all_texts_are_those_of_float32(
    golden: dict[str, Any], golden_model: SonarTextModel, whole: SonarTextModel
) -> None:
    langs = ["eng_Latn", "deu_Latn", "zho_Hans"]
    found, expected = (
        [row[lang][0] for row in model.decode(golden["embeddings"], langs, max_tokens=60) for lang in langs]
        for model in (whole, golden_model)
    )
    same = [one.text == other.text for one, other in zip(found, expected, strict=True)]
    assert sum(same) / len(same) > 0.8
    scores = [torch.tensor([one.score for one in some]) for some in (found, expected)]
    assert (scores[0] - scores[1]).abs()[torch.tensor(same)].max() < 0.1


@torch.inference_mode()
@pytest.mark.parametrize("width", [32, 33])
def test_a_row_does_not_depend_on_the_others(width: int) -> None:
    part = whole_numbers(torch.nn.Linear(width, 16))
    rows = torch.randn(4, width) * torch.tensor([1e-3, 1.0, 50.0, 0.0])[:, None]
    assert torch.equal(part(rows[:3])[:1], part(rows[:1]))
    assert torch.equal(part(rows)[2:3], part(rows[2:3]))
    torch.testing.assert_close(part(rows)[3], part.bias)


@torch.inference_mode()
def test_no_sum_overflows() -> None:
    part = torch.nn.Linear(64, 8, bias=False)
    part.weight.fill_(1.0)
    part = whole_numbers(part)
    for x in (torch.ones(1, 64), -torch.ones(1, 64), torch.ones(1, 64).index_fill(1, torch.tensor([3]), -1)):
        torch.testing.assert_close(part(x), x.sum().expand(1, 8), rtol=0.01, atol=0)


@torch.inference_mode()
def test_a_product_is_right_to_a_hundredth() -> None:
    exact = torch.nn.Linear(256, 64)
    part = whole_numbers(exact)
    x = torch.randn(5, 256)
    assert (part(x) - exact(x)).norm() / exact(x).norm() < 0.02


def test_the_text_encoder_and_the_table_stay(
    golden: dict[str, Any], golden_model: SonarTextModel, whole: SonarTextModel
) -> None:
    texts = ["the weather is nice"]
    assert torch.equal(whole.embed(texts, "eng_Latn"), golden_model.embed(texts, "eng_Latn"))
    assert whole.device == golden_model.device
    assert whole.dtype == torch.float32
    kept = [name for name, value in whole.decoder.named_parameters() if value.ndim == 2]
    assert all("embed" in name or "_attn.q_proj" in name or "_attn.k_proj" in name for name in kept)


def test_processors_without_it_are_told(golden_model: SonarTextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_ENGINE", "no such engine")
    with pytest.raises(UserError, match="found no int8 kernels, expected an x86 processor"):
        int8.quantise(golden_model)
