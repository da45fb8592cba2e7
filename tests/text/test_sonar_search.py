from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slt.core.errors import SltError, UserError
from slt.core.tensors import EncoderOutput
from slt.text import sonar_text
from slt.text.config import SonarTextConfig
from slt.text.sonar.model import SonarText
from slt.text.sonar_text import SonarTextModel

from .conftest import LANGS, texts

REFERENCE_LIMIT = 192  # what sonar's pipeline derives from embeddings 64 wide


def scores(found: list[dict[str, Any]], lang: str) -> torch.Tensor:
    return torch.tensor([row[lang][0].score for row in found])


@pytest.mark.parametrize(
    ("beam_size", "max_tokens", "limits"), [(5, REFERENCE_LIMIT, {}), (1, 18, {"max_seq_len": 20})]
)
def test_one_search_finds_what_sonars_pipeline_finds_language_after_language(
    golden: dict[str, Any],
    golden_model: SonarTextModel,
    reference: SonarText,
    beam_size: int,
    max_tokens: int,
    limits: dict[str, int],
) -> None:
    from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline

    pipeline = EmbeddingToTextModelPipeline(reference.decoder, reference.tokenizer)
    found = golden_model.decode(golden["embeddings"], LANGS, beam_size=beam_size, max_tokens=max_tokens)

    for lang in LANGS:
        expected = pipeline.predict(golden["embeddings"], lang, batch_size=32, beam_size=beam_size, **limits)
        assert texts(found, lang) == expected


@pytest.mark.parametrize(("patient", "found_again"), [(False, [18, 22, 20]), (True, [24, 24, 24])])
def test_the_texts_the_reference_learnt_come_back(
    golden: dict[str, Any], golden_model: SonarTextModel, patient: bool, found_again: list[int]
) -> None:
    found = golden_model.decode(golden["embeddings"][:24], LANGS, patient=patient)

    pairs = [zip(texts(found, lang), golden["targets"][lang], strict=True) for lang in LANGS]
    assert [sum(a == b for a, b in pair) for pair in pairs] == found_again


@pytest.mark.parametrize("beam_size", [1, 5])
def test_together_and_alone_give_the_same(golden: dict[str, Any], golden_model: SonarTextModel, beam_size: int) -> None:
    embeddings = golden["embeddings"]
    together = golden_model.decode(embeddings, LANGS, beam_size=beam_size, nbest=beam_size)

    for lang in LANGS:
        by_language = golden_model.decode(embeddings, [lang], beam_size=beam_size)
        assert texts(by_language, lang) == texts(together, lang)
        torch.testing.assert_close(scores(by_language, lang), scores(together, lang), atol=1e-5, rtol=0)
    for index in (0, 13, 31):
        (alone,) = golden_model.decode(embeddings[index : index + 1], LANGS, beam_size=beam_size, nbest=beam_size)
        for lang in LANGS:
            assert [h.text for h in alone[lang]] == [h.text for h in together[index][lang]]


@pytest.mark.parametrize("patient", [False, True])
def test_each_has_a_limit_of_its_own_as_if_it_were_alone(
    golden: dict[str, Any], golden_model: SonarTextModel, patient: bool
) -> None:
    embeddings, limits = golden["embeddings"][:8], [1, 60, 7, 3, 12, 7, 40, 2]
    options: dict[str, Any] = {"beam_size": 4, "nbest": 4, "patient": patient, "retry_repetitive": True}
    together = golden_model.decode(embeddings, LANGS, max_tokens=limits, **options)
    for index, limit in enumerate(limits):
        (alone,) = golden_model.decode(embeddings[index : index + 1], LANGS, max_tokens=limit, **options)
        for lang in LANGS:
            pairs = zip(together[index][lang], alone[lang], strict=True)
            assert all((a.text, a.truncated, a.looped) == (b.text, b.truncated, b.looped) for a, b in pairs)
            torch.testing.assert_close(scores([together[index]], lang), scores([alone], lang), atol=1e-5, rtol=0)
    assert {row[lang][0].truncated for row in together for lang in LANGS} == {True, False}


def test_patience_finds_nothing_worse(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    searches = [golden_model.decode(golden["embeddings"], LANGS, nbest=5, patient=patient) for patient in (False, True)]

    for lang in LANGS:
        assert (scores(searches[1], lang) >= scores(searches[0], lang) - 1e-5).all()
        assert all(len(row[lang]) == 5 for row in searches[1])


@pytest.mark.slow
def test_patience_is_the_configurations_to_ask_for(golden: dict[str, Any], reference: SonarText) -> None:
    config = replace(golden["config"], patient=True)
    patient = SonarText.load(config, golden["decoder"], golden["tokenizer"])
    embeddings = golden["embeddings"]

    assert patient.decode(embeddings, LANGS) == reference.decode(embeddings, LANGS, patient=True)
    assert patient.decode(embeddings, LANGS, patient=False) == reference.decode(embeddings, LANGS)


def test_a_search_in_parts_gives_the_same(
    golden: dict[str, Any], golden_model: SonarTextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = golden_model.decode(golden["embeddings"], LANGS)
    monkeypatch.setattr(sonar_text, "LOGITS_PER_SEARCH", 7 * 5 * 255)
    parts = golden_model.decode(golden["embeddings"], LANGS)

    for lang in LANGS:
        assert texts(parts, lang) == texts(whole, lang)


def test_a_score_is_the_mean_log_probability_of_the_text(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    embedding = golden["embeddings"][:1]
    for lang in LANGS:
        best = golden_model.decode(embedding, [lang])[0][lang][0]
        loss, n_tokens = golden_model.loss(embedding, [best.text], [lang])
        assert best.score == pytest.approx(-loss.item() / n_tokens, abs=1e-5)


def test_hypotheses_are_distinct_and_best_first(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    for row in golden_model.decode(golden["embeddings"][:5], ["eng_Latn"], nbest=3):
        found = row["eng_Latn"]
        assert len({h.text for h in found}) == len(found) == 3
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_unknown_and_padding_are_never_written(model: SonarTextModel) -> None:
    with torch.no_grad():
        table = model.decoder.decoder_frontend.embed.weight
        table[0] = table[1] = 10 * table[5]  # padding and unknown now win wherever token 5 would
    embeddings = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))

    for row in model.decode(embeddings, ["eng_Latn"], nbest=5, max_tokens=10):
        for found in row["eng_Latn"]:
            assert "⁇" not in found.text
            assert math.isfinite(found.score)


def test_the_length_limit_holds_and_is_told(
    golden: dict[str, Any], golden_model: SonarTextModel, reference: SonarText
) -> None:
    full = golden_model.decode(golden["embeddings"], ["eng_Latn"])
    short = golden_model.decode(golden["embeddings"], ["eng_Latn"], max_tokens=4)

    encoder = reference.tokenizer.create_raw_encoder()
    assert all(len(encoder(text)) <= 3 for text in texts(short, "eng_Latn"))
    assert all(row["eng_Latn"][0].truncated for row in short if row["eng_Latn"][0].text)
    assert not any(row["eng_Latn"][0].truncated for row in full)


def test_the_decoders_positions_are_the_limit_without_another(model: SonarTextModel) -> None:
    with torch.no_grad():
        model.decoder.decoder.layer_norm.weight.zero_()
        table = model.decoder.decoder_frontend.embed.weight
        model.decoder.decoder.layer_norm.bias.copy_(10 * table[9] - 10 * table[3])  # token 9 for ever, never the end
    (row,) = model.decode(torch.zeros(1, 32), ["eng_Latn"], beam_size=1)

    assert row["eng_Latn"][0].truncated
    (same,) = model.decode(torch.zeros(1, 32), ["eng_Latn"], beam_size=1, max_tokens=10_000)
    assert same == row


def test_translate_reads_the_sentence_embedding(golden: dict[str, Any], golden_model: SonarTextModel) -> None:
    embeddings = golden["embeddings"][:3]
    output = EncoderOutput(sentence=embeddings, sequence=torch.zeros(3, 2, 5), mask=torch.ones(3, 2, dtype=torch.bool))

    expected = golden_model.decode(embeddings, ["deu_Latn"], nbest=2)
    assert golden_model.translate(output, ["deu_Latn"], nbest=2) == expected


def test_no_embeddings_give_no_texts(golden_model: SonarTextModel) -> None:
    assert golden_model.decode(torch.empty(0, 64), LANGS) == []
    assert golden_model.embed([], "eng_Latn").shape == (0, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"langs": ["english"]}, "unknown language 'english'"),
        ({"beam_size": 0}, "found beam size 0, expected 1 to 126"),
        ({"beam_size": 127}, "found beam size 127, expected 1 to 126"),
        ({"nbest": 6}, "found nbest 6, expected 1 to the beam size 5"),
        ({"nbest": 0}, "found nbest 0, expected 1 to"),
        ({"max_tokens": 0}, "found token limit 0, expected at least 1"),
    ],
)
def test_a_search_out_of_range_is_the_users_to_mend(
    golden_model: SonarTextModel, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        golden_model.decode(torch.zeros(1, 64), **{"langs": LANGS, **options})


def test_embeddings_that_cannot_be_decoded_are_refused(golden_model: SonarTextModel) -> None:
    with pytest.raises(SltError, match=r"found embeddings of shape \(2, 32\), expected \(B, 64\)"):
        golden_model.decode(torch.zeros(2, 32), LANGS)
    broken = torch.zeros(4, 64)
    broken[1, 5], broken[3, 0] = math.nan, math.inf
    with pytest.raises(SltError, match="embeddings 1, 3 contain NaN or infinity"):
        golden_model.decode(broken, LANGS)


def test_a_decoder_that_overflows_is_told(model: SonarTextModel) -> None:
    torch.nn.init.constant_(model.decoder.decoder.layer_norm.weight, math.nan)
    with pytest.raises(SltError, match=r"text decoder returned NaN in torch.float32 on cpu"):
        model.decode(torch.zeros(1, 32), ["eng_Latn"])


def test_a_text_that_goes_round_in_circles_is_searched_again(
    config: SonarTextConfig, tokenizer_path: Path, engine: type[SonarTextModel]
) -> None:
    """A decoder trained to say one thing on and on, as one far from its training data does."""
    torch.manual_seed(0)
    stack = replace(config.decoder, max_seq_len=100, dropout=0.0)
    model = engine.build(replace(config, encoder=stack, decoder=stack), tokenizer_path)
    embedding, text = torch.randn(1, 32), " ".join(["the mountains"] * 6)
    optimiser = torch.optim.Adam(model.decoder.parameters(), 3e-3)
    for _ in range(120):
        optimiser.zero_grad()
        loss, _ = model.loss(embedding, [text], ["eng_Latn"])
        loss.backward()
        optimiser.step()
    as_it_is = model.decode(embedding, ["eng_Latn"])[0]["eng_Latn"][0]
    assert as_it_is.text.startswith(" ".join(["the mountains"] * 5))
    assert not as_it_is.looped
    output = EncoderOutput(sentence=embedding, sequence=embedding[:, None], mask=torch.ones(1, 1, dtype=torch.bool))
    guarded = model.translate(output, ["eng_Latn"])[0]["eng_Latn"][0]
    assert guarded.looped
    assert guarded.text.count("the mountains") < 4
