"""What a decoder sees of its embedding is computed once per search, and equals attention step by step."""

from __future__ import annotations

from typing import Any

import torch

from slt.models.swap import SwappedModule
from slt.text import single_context
from slt.text.sonar_text import SonarTextModel


def attentions(model: SonarTextModel) -> list[Any]:
    return [part for part in model.decoder.modules() if isinstance(part, SwappedModule)]


def without(model: SonarTextModel) -> SonarTextModel:
    """Put the usual attention back."""
    for owner in list(model.decoder.modules()):
        for name, part in list(owner.named_children()):
            if isinstance(part, SwappedModule):
                setattr(owner, name, part.original)
    return model


def test_texts_and_scores_are_those_of_the_usual_attention(
    golden: dict[str, Any], golden_model: SonarTextModel
) -> None:
    assert len(attentions(golden_model)) == golden["config"].decoder.num_layers
    original = without(type(golden_model).load(golden["config"], golden["decoder"], golden["tokenizer"]))
    assert not attentions(original)
    found, expected = (
        model.decode(golden["embeddings"], ["eng_Latn", "deu_Latn"], nbest=3, max_tokens=40)
        for model in (golden_model, original)
    )
    assert [{lang: [one.text for one in texts] for lang, texts in row.items()} for row in found] == [
        {lang: [one.text for one in texts] for lang, texts in row.items()} for row in expected
    ]
    scores = [
        torch.tensor([one.score for row in rows for texts in row.values() for one in texts])
        for rows in (found, expected)
    ]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-5)


def test_nothing_is_asked_at_each_step(golden_model: SonarTextModel) -> None:
    asked: list[str] = []
    hooks = [
        part.register_forward_hook(lambda *_, name=name: asked.append(name))
        for name, part in attentions(golden_model)[0].named_children()
        if name.endswith("_proj")
    ]
    golden_model.decode(torch.randn(2, golden_model.config.encoder.model_dim), ["eng_Latn"], max_tokens=6)
    for hook in hooks:
        hook.remove()
    assert len(hooks) == 4
    assert asked == ["v_proj", next(name for name in asked if name.startswith("out"))]  # once for the whole search


def test_training_asks_as_always(model: SonarTextModel) -> None:
    embedding = torch.randn(1, 32)
    total, _ = model.loss(embedding, ["we go hiking"], ["eng_Latn"])
    total.backward()
    assert all(part.q_proj.weight.grad is not None for part in attentions(model))


def test_what_is_seen_is_kept_in_the_order_of_the_rows() -> None:
    seen = single_context.ContextState(torch.arange(3.0)[:, None, None])
    seen.reorder(torch.tensor([2, 0]))
    assert seen.value.flatten().tolist() == [2, 0]
    assert seen.size_bytes() == seen.capacity_bytes() == 8
