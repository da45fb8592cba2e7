from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slt.core.errors import SltError, UserError
from slt.text import sonar_text
from slt.text.config import SonarTextConfig
from slt.text.sonar.model import SonarText
from slt.text.sonar_text import SonarTextModel

from .conftest import LANGS, SENTENCES, texts


def test_embeddings_are_those_of_sonars_pipeline(
    golden: dict[str, Any], golden_model: SonarTextModel, reference: SonarText
) -> None:
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    # Of all lengths, so that the order by length differs from the given one.
    wanted = golden["targets"]["deu_Latn"] + ["", "mix", "hiking " * 40] + golden["targets"]["deu_Latn"] * 2
    pipeline = TextToEmbeddingModelPipeline(reference.encoder, reference.tokenizer)

    expected = pipeline.predict(wanted, "deu_Latn")
    torch.testing.assert_close(golden_model.embed(wanted, "deu_Latn"), expected, atol=1e-5, rtol=0)


def test_texts_too_long_are_cut_as_sonar_cuts_them(golden_model: SonarTextModel, reference: SonarText) -> None:
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    long = "landslides " * 600
    pipeline = TextToEmbeddingModelPipeline(reference.encoder, reference.tokenizer)
    with pytest.warns(UserWarning, match="truncated to 514"):
        expected = pipeline.predict([long], "eng_Latn")

    torch.testing.assert_close(golden_model.embed([long], "eng_Latn"), expected, atol=1e-5, rtol=0)


def test_texts_too_long_are_counted_and_told_once(model: SonarTextModel, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        embeddings = model.embed(["we go", "hiking " * 90], "eng_Latn")
        assert model.loss(embeddings, ["we go", "hiking " * 90], ["eng_Latn"] * 2)[1] > 40

    assert model.tokens.n_cut == 4
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(
        "warning: texts longer than 42 tokens are truncated; the first one starts with 'hiking hiking"
    )


def test_a_small_model_learns_its_sentences_by_heart(
    config: SonarTextConfig, tokenizer_path: Path, engine: type[SonarTextModel]
) -> None:
    torch.manual_seed(1)
    stack = replace(config.encoder, model_dim=64, ffn_inner_dim=128, dropout=0.0)
    model = engine.build(replace(config, encoder=stack, decoder=stack, patient=True), tokenizer_path)
    sources, targets = [SENTENCES[a] + SENTENCES[b] for a, b in (LANGS[:2], LANGS[1::-1])]
    langs = [lang for lang in LANGS[:2] for _ in SENTENCES[lang]]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(120):
        embeddings = model.embed_batch(sources, langs)
        loss, n_tokens = model.loss(embeddings, targets, langs[::-1])
        optimiser.zero_grad()
        (loss / n_tokens).backward()
        optimiser.step()

    found = model.decode(model.embed(SENTENCES["eng_Latn"], "eng_Latn"), ["deu_Latn"])
    assert texts(found, "deu_Latn") == SENTENCES["deu_Latn"]
    found = model.decode(model.embed(SENTENCES["deu_Latn"], "deu_Latn"), ["eng_Latn"])
    assert texts(found, "eng_Latn") == SENTENCES["eng_Latn"]


def test_the_loss_counts_language_text_and_end(
    golden: dict[str, Any], golden_model: SonarTextModel, reference: SonarText
) -> None:
    wanted, langs = ["mix areas", "landslides areas love today"], ["eng_Latn", "zho_Hans"]
    lengths = [len(reference.tokenizer.create_raw_encoder()(text)) for text in wanted]
    embeddings = golden["embeddings"][:2]

    together, n_tokens = golden_model.loss(embeddings, wanted, langs)
    alone = [golden_model.loss(embeddings[i : i + 1], [wanted[i]], [langs[i]])[0] for i in range(2)]

    assert n_tokens == sum(lengths) + 2 * 2
    torch.testing.assert_close(together, alone[0] + alone[1])


def test_likelihoods_are_the_loss_text_by_text(
    golden: dict[str, Any], golden_model: SonarTextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, targets = golden["embeddings"][:5], golden["targets"]["eng_Latn"][:5]
    langs = ["eng_Latn"] * 5
    whole = golden_model.log_likelihoods(embeddings, targets, langs)
    for row in range(5):
        with torch.no_grad():
            total, count = golden_model.loss(embeddings[row : row + 1], targets[row : row + 1], langs[:1])
        assert float(whole[row]) == pytest.approx(-float(total) / count, abs=1e-5)
    monkeypatch.setattr(sonar_text, "LOGITS_PER_SEARCH", 1)  # one text at a time
    torch.testing.assert_close(golden_model.log_likelihoods(embeddings, targets, langs), whole)


def test_smoothed_labels_cost_more_where_the_model_is_sure(
    golden: dict[str, Any], golden_model: SonarTextModel
) -> None:
    arguments = golden["embeddings"][:4], golden["targets"]["eng_Latn"][:4], ["eng_Latn"] * 4
    assert golden_model.loss(*arguments, label_smoothing=0.2)[0] > golden_model.loss(*arguments)[0]


def test_gradients_reach_the_embeddings_and_both_models(model: SonarTextModel) -> None:
    embeddings = model.embed_batch(["das Wetter", "we go hiking"], ["deu_Latn", "eng_Latn"])
    embeddings.retain_grad()
    model.loss(embeddings, ["the weather", "wir wandern"], ["eng_Latn", "deu_Latn"])[0].backward()

    assert embeddings.grad is not None
    assert all(value.grad is not None for value in model.parameters())


def test_decoding_and_embedding_leave_training_as_it_was(model: SonarTextModel) -> None:
    model.decoder.eval()
    before = [part.training for part in model.modules()]
    embeddings = model.embed(["we go"], "eng_Latn")
    model.decode(embeddings, ["eng_Latn"], max_tokens=5)

    assert [part.training for part in model.modules()] == before
    assert torch.equal(model.embed(["we go"], "eng_Latn"), embeddings)  # no dropout
    embeddings.requires_grad_()  # an inference tensor would refuse


def test_an_unknown_language_stops_embedding_and_training(model: SonarTextModel) -> None:
    with pytest.raises(UserError, match="does not support fra_Latn"):
        model.embed(["a"], "fra_Latn")
    with pytest.raises(UserError, match="unknown language 'de'"):
        model.embed_batch(["a"], ["de"])
    with pytest.raises(UserError, match="unknown language 'de'"):
        model.loss(torch.zeros(1, 32), ["a"], ["de"])


def test_weights_go_out_and_in_again(model: SonarTextModel, config: SonarTextConfig, tokenizer_path: Path) -> None:
    again = type(model).load(config, model.decoder_weights(), tokenizer_path, model.text_encoder_weights())

    assert not again.training
    assert again.decoder.final_proj.weight is again.decoder.decoder_frontend.embed.weight
    assert len(list(again.parameters())) == len(list(model.parameters()))
    embeddings = model.embed(SENTENCES["eng_Latn"], "eng_Latn")
    assert torch.equal(again.embed(SENTENCES["eng_Latn"], "eng_Latn"), embeddings)
    options = {"nbest": 3, "max_tokens": 12}
    assert again.decode(embeddings, ["deu_Latn"], **options) == model.decode(embeddings, ["deu_Latn"], **options)


def test_without_a_text_encoder_only_embedding_is_missing(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    model = type(golden_model).load(golden["config"], golden["decoder"], golden["tokenizer"])

    assert model.decode(golden["embeddings"][:2], LANGS) == golden_model.decode(golden["embeddings"][:2], LANGS)
    for wanted in (lambda: model.embed(["mix"], "eng_Latn"), model.text_encoder_weights):
        with pytest.raises(SltError, match="found a model without a text encoder"):
            wanted()


def test_encoder_and_decoder_may_differ_in_width(
    config: SonarTextConfig, tokenizer_path: Path, engine: type[SonarTextModel]
) -> None:
    wide = replace(config, encoder=replace(config.encoder, model_dim=48))
    model = engine.build(wide, tokenizer_path)
    embeddings = model.embed(["we go"], "eng_Latn")

    assert embeddings.shape == (1, 48)
    assert len(model.decode(embeddings, ["eng_Latn"], max_tokens=4)) == 1
    assert model.loss(embeddings, ["we go"], ["eng_Latn"])[1] > 2


def test_half_precision_keeps_the_positions_exact(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    weights = golden["decoder"], golden["tokenizer"], golden["encoder"]
    half = type(golden_model).load(golden["config"], *weights, dtype=torch.bfloat16)

    assert half.dtype == half.embed(["mix"], "eng_Latn").dtype == torch.bfloat16
    positions = [dict(model.decoder.named_buffers()) for model in (half, golden_model)]
    (name,) = positions[0]
    assert name.endswith("freqs")
    assert torch.equal(*(found[name] for found in positions))
    found, expected = (model.decode(golden["embeddings"], ["eng_Latn"]) for model in (half, golden_model))
    same = sum(a == b for a, b in zip(texts(found, "eng_Latn"), texts(expected, "eng_Latn"), strict=True))
    assert same >= 24


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_can_be_copied(golden: dict[str, Any], golden_model: SonarTextModel, duplicate: Any) -> None:
    twin = duplicate(golden_model)

    assert twin.decoder is not golden_model.decoder
    assert twin.decode(golden["embeddings"][:3], LANGS) == golden_model.decode(golden["embeddings"][:3], LANGS)
