"""What a decoder sees of its embedding is computed once per search, and equals attention step by step."""

from __future__ import annotations

from typing import Any

import torch

from slt.text import single_context
from slt.text.sonar.model import SonarText


def attentions(model: SonarText) -> list[Any]:
    return [part for name, part in model.decoder.named_modules() if name.endswith("encoder_decoder_attn")]


def test_texts_and_scores_are_those_of_the_usual_attention(golden: dict[str, Any], golden_model: SonarText) -> None:
    original = SonarText.load(golden["config"], golden["decoder"], golden["tokenizer"])
    for layer in original.decoder.decoder.layers:
        layer.encoder_decoder_attn = layer.encoder_decoder_attn.original
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


def test_nothing_is_asked_at_each_step(golden_model: SonarText) -> None:
    asked: list[int] = []
    first = attentions(golden_model)[0]
    hooks = [
        part.register_forward_hook(lambda *_: asked.append(1))
        for part in (first.v_proj, first.output_proj, first.q_proj)
    ]
    golden_model.decode(torch.randn(2, golden_model.config.encoder.model_dim), ["eng_Latn"], max_tokens=6)
    for hook in hooks:
        hook.remove()
    assert len(asked) == 2  # value and output, once for the whole search


def test_training_asks_as_always(model: SonarText) -> None:
    embedding = torch.randn(1, 32)
    total, _ = model.loss(embedding, ["we go hiking"], ["eng_Latn"])
    total.backward()
    assert all(part.q_proj.weight.grad is not None for part in attentions(model))


def test_what_is_seen_is_kept_in_the_order_of_the_rows() -> None:
    seen = single_context.ContextState(torch.arange(3.0)[:, None, None])
    seen.reorder(torch.tensor([2, 0]))
    assert seen.value.flatten().tolist() == [2, 0]
    assert seen.size_bytes() == seen.capacity_bytes() == 8
