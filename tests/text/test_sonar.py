from __future__ import annotations

import copy
import csv
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

import slt.text.sonar
from slt.errors import SltError, UserError
from slt.tensors import EncoderOutput
from slt.text.config import SonarTextConfig
from slt.text.sonar import SonarText, create_decoder, create_encoder, load_tokenizer, self_test

from .conftest import GOLDEN, SENTENCES

LANGS = ["eng_Latn", "deu_Latn", "zho_Hans"]
REFERENCE_LIMIT = 192  # what sonar's pipeline derives from embeddings 64 wide


def texts(found: list[dict[str, Any]], lang: str) -> list[str]:
    return [row[lang][0].text for row in found]


def scores(found: list[dict[str, Any]], lang: str) -> torch.Tensor:
    return torch.tensor([row[lang][0].score for row in found])


# --- the genuine models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "create"), [("encoder", create_encoder), ("decoder", create_decoder)])
def test_the_published_models_have_the_published_weights(part: str, create: Any) -> None:
    with open(GOLDEN / f"keys/sonar050_text_{part}_basic.tsv") as file:
        published = {row["key"]: (row["shape"], row["dtype"]) for row in csv.DictReader(file, delimiter="\t")}

    with torch.device("meta"):
        weights = create(SonarTextConfig(), 256206).state_dict()

    own = {
        name: ("x".join(map(str, value.shape)), str(value.dtype).removeprefix("torch."))
        for name, value in weights.items()
    }
    assert own == published


def test_the_published_models_are_built_with_the_published_settings() -> None:
    from fairseq2.data.tokenizers import VocabularyInfo
    from sonar.models.sonar_text.config import SonarTextDecoderConfig, SonarTextEncoderConfig
    from sonar.models.sonar_text.factory import SonarTextDecoderFactory, SonarTextEncoderFactory

    published = json.loads((GOLDEN / "keys/sonar050_basic_configs.json").read_text())
    for settings in published.values():
        settings["vocab_info"] = VocabularyInfo(**settings["vocab_info"])
    with torch.device("meta"):
        encoder = SonarTextEncoderFactory(SonarTextEncoderConfig(**published["encoder"])).create_model()
        decoder = SonarTextDecoderFactory(SonarTextDecoderConfig(**published["decoder"])).create_model()
        ours = create_encoder(SonarTextConfig(), 256206), create_decoder(SonarTextConfig(), 256206)

    assert (repr(ours[0]), repr(ours[1])) == (repr(encoder), repr(decoder))


# --- the reference's numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beam_size", "max_tokens", "limits"), [(5, REFERENCE_LIMIT, {}), (1, 18, {"max_seq_len": 20})]
)
def test_one_search_finds_what_sonars_pipeline_finds_language_after_language(
    golden: dict[str, Any], golden_model: SonarText, beam_size: int, max_tokens: int, limits: dict[str, int]
) -> None:
    from sonar.inference_pipelines.text import EmbeddingToTextModelPipeline

    pipeline = EmbeddingToTextModelPipeline(golden_model.decoder, golden_model.tokenizer)
    found = golden_model.decode(golden["embeddings"], LANGS, beam_size=beam_size, max_tokens=max_tokens)

    for lang in LANGS:
        expected = pipeline.predict(golden["embeddings"], lang, batch_size=32, beam_size=beam_size, **limits)
        assert texts(found, lang) == expected


@pytest.mark.parametrize(("patient", "found_again"), [(False, [18, 22, 20]), (True, [24, 24, 24])])
def test_the_texts_the_reference_learnt_come_back(
    golden: dict[str, Any], golden_model: SonarText, patient: bool, found_again: list[int]
) -> None:
    found = golden_model.decode(golden["embeddings"][:24], LANGS, patient=patient)

    pairs = [zip(texts(found, lang), golden["targets"][lang], strict=True) for lang in LANGS]
    assert [sum(a == b for a, b in pair) for pair in pairs] == found_again


@pytest.mark.parametrize("beam_size", [1, 5])
def test_together_and_alone_give_the_same(golden: dict[str, Any], golden_model: SonarText, beam_size: int) -> None:
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


def test_patience_finds_nothing_worse(golden: dict[str, Any], golden_model: SonarText) -> None:
    searches = [golden_model.decode(golden["embeddings"], LANGS, nbest=5, patient=patient) for patient in (False, True)]

    for lang in LANGS:
        assert (scores(searches[1], lang) >= scores(searches[0], lang) - 1e-5).all()
        assert all(len(row[lang]) == 5 for row in searches[1])


def test_patience_is_the_configurations_to_ask_for(golden: dict[str, Any], golden_model: SonarText) -> None:
    config = replace(golden["config"], patient=True)
    patient = SonarText.load(config, golden["decoder"], golden["tokenizer"])
    embeddings = golden["embeddings"]

    assert patient.decode(embeddings, LANGS) == golden_model.decode(embeddings, LANGS, patient=True)
    assert patient.decode(embeddings, LANGS, patient=False) == golden_model.decode(embeddings, LANGS)


def test_a_search_in_parts_gives_the_same(
    golden: dict[str, Any], golden_model: SonarText, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = golden_model.decode(golden["embeddings"], LANGS)
    monkeypatch.setattr(slt.text.sonar, "LOGITS_PER_SEARCH", 7 * 5 * 255)
    parts = golden_model.decode(golden["embeddings"], LANGS)

    for lang in LANGS:
        assert texts(parts, lang) == texts(whole, lang)


def test_embeddings_are_those_of_sonars_pipeline(golden: dict[str, Any], golden_model: SonarText) -> None:
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    # Of all lengths, so that the order by length differs from the given one.
    wanted = golden["targets"]["deu_Latn"] + ["", "mix", "hiking " * 40] + golden["targets"]["deu_Latn"] * 2
    pipeline = TextToEmbeddingModelPipeline(golden_model.encoder, golden_model.tokenizer)

    expected = pipeline.predict(wanted, "deu_Latn")
    torch.testing.assert_close(golden_model.embed(wanted, "deu_Latn"), expected, atol=1e-5, rtol=0)


def test_texts_too_long_are_cut_as_sonar_cuts_them(golden_model: SonarText) -> None:
    from sonar.inference_pipelines.text import TextToEmbeddingModelPipeline

    long = "landslides " * 600
    pipeline = TextToEmbeddingModelPipeline(golden_model.encoder, golden_model.tokenizer)
    with pytest.warns(UserWarning, match="truncated to 514"):
        expected = pipeline.predict([long], "eng_Latn")

    torch.testing.assert_close(golden_model.embed([long], "eng_Latn"), expected, atol=1e-5, rtol=0)


def test_texts_too_long_are_counted_and_told_once(model: SonarText, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        embeddings = model.embed(["we go", "hiking " * 90], "eng_Latn")
        assert model.loss(embeddings, ["we go", "hiking " * 90], ["eng_Latn"] * 2)[1] > 40

    assert model.n_cut == 4
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("warning: texts of more than 42 tokens are cut there; the first starts 'hiking hiking")


# --- searching --------------------------------------------------------------------------------------------------------


def test_a_score_is_the_mean_log_probability_of_the_text(golden: dict[str, Any], golden_model: SonarText) -> None:
    embedding = golden["embeddings"][:1]
    for lang in LANGS:
        best = golden_model.decode(embedding, [lang])[0][lang][0]
        loss, n_tokens = golden_model.loss(embedding, [best.text], [lang])
        assert best.score == pytest.approx(-loss.item() / n_tokens, abs=1e-5)


def test_hypotheses_are_distinct_and_best_first(golden: dict[str, Any], golden_model: SonarText) -> None:
    for row in golden_model.decode(golden["embeddings"][:5], ["eng_Latn"], nbest=3):
        found = row["eng_Latn"]
        assert len({h.text for h in found}) == len(found) == 3
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_unknown_and_padding_are_never_written(model: SonarText) -> None:
    with torch.no_grad():
        table = model.decoder.decoder_frontend.embed.weight
        table[0] = table[1] = 10 * table[5]  # padding and unknown now win wherever token 5 would
    embeddings = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))

    for row in model.decode(embeddings, ["eng_Latn"], nbest=5, max_tokens=10):
        for found in row["eng_Latn"]:
            assert "⁇" not in found.text
            assert math.isfinite(found.score)


def test_the_length_limit_holds_and_is_told(golden: dict[str, Any], golden_model: SonarText) -> None:
    full = golden_model.decode(golden["embeddings"], ["eng_Latn"])
    short = golden_model.decode(golden["embeddings"], ["eng_Latn"], max_tokens=4)

    encoder = golden_model.tokenizer.create_raw_encoder()
    assert all(len(encoder(text)) <= 3 for text in texts(short, "eng_Latn"))
    assert all(row["eng_Latn"][0].truncated for row in short if row["eng_Latn"][0].text)
    assert not any(row["eng_Latn"][0].truncated for row in full)


def test_the_decoders_positions_are_the_limit_without_another(model: SonarText) -> None:
    with torch.no_grad():
        model.decoder.decoder.layer_norm.weight.zero_()
        table = model.decoder.decoder_frontend.embed.weight
        model.decoder.decoder.layer_norm.bias.copy_(10 * table[9] - 10 * table[3])  # token 9 for ever, never the end
    (row,) = model.decode(torch.zeros(1, 32), ["eng_Latn"], beam_size=1)

    assert row["eng_Latn"][0].truncated
    (same,) = model.decode(torch.zeros(1, 32), ["eng_Latn"], beam_size=1, max_tokens=10_000)
    assert same == row


def test_translate_reads_the_sentence_embedding(golden: dict[str, Any], golden_model: SonarText) -> None:
    embeddings = golden["embeddings"][:3]
    output = EncoderOutput(sentence=embeddings, sequence=torch.zeros(3, 2, 5), mask=torch.ones(3, 2, dtype=torch.bool))

    expected = golden_model.decode(embeddings, ["deu_Latn"], nbest=2)
    assert golden_model.translate(output, ["deu_Latn"], nbest=2) == expected


def test_no_embeddings_give_no_texts(golden_model: SonarText) -> None:
    assert golden_model.decode(torch.empty(0, 64), LANGS) == []
    assert golden_model.embed([], "eng_Latn").shape == (0, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"langs": ["english"]}, "unknown language 'english'"),
        ({"beam_size": 0}, "beam size must be between 1 and 126, found 0"),
        ({"beam_size": 127}, "beam size must be between 1 and 126, found 127"),
        ({"nbest": 6}, "beam size 5 yields 1 to 5 texts, asked for 6"),
        ({"nbest": 0}, "asked for 0"),
        ({"max_tokens": 0}, "token limit must be at least 1, found 0"),
    ],
)
def test_a_search_out_of_range_is_the_users_to_mend(
    golden_model: SonarText, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        golden_model.decode(torch.zeros(1, 64), **{"langs": LANGS, **options})


def test_embeddings_that_cannot_be_decoded_are_refused(golden_model: SonarText) -> None:
    with pytest.raises(SltError, match=r"embeddings of shape \(B, 64\), found \(2, 32\)"):
        golden_model.decode(torch.zeros(2, 32), LANGS)
    broken = torch.zeros(4, 64)
    broken[1, 5], broken[3, 0] = math.nan, math.inf
    with pytest.raises(SltError, match="embeddings 1, 3 hold NaN or infinity"):
        golden_model.decode(broken, LANGS)


def test_a_decoder_that_overflows_is_told(model: SonarText) -> None:
    torch.nn.init.constant_(model.decoder.decoder.layer_norm.weight, math.nan)
    with pytest.raises(SltError, match=r"text decoder gave NaN in torch.float32 on cpu"):
        model.decode(torch.zeros(1, 32), ["eng_Latn"])


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_small_model_learns_its_sentences_by_heart(config: SonarTextConfig, tokenizer_path: Path) -> None:
    torch.manual_seed(1)
    stack = replace(config.encoder, model_dim=64, ffn_inner_dim=128, dropout=0.0)
    model = SonarText.build(replace(config, encoder=stack, decoder=stack, patient=True), tokenizer_path)
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


def test_the_loss_counts_language_text_and_end(golden: dict[str, Any], golden_model: SonarText) -> None:
    wanted, langs = ["mix areas", "landslides areas love today"], ["eng_Latn", "zho_Hans"]
    lengths = [len(golden_model.tokenizer.create_raw_encoder()(text)) for text in wanted]
    embeddings = golden["embeddings"][:2]

    together, n_tokens = golden_model.loss(embeddings, wanted, langs)
    alone = [golden_model.loss(embeddings[i : i + 1], [wanted[i]], [langs[i]])[0] for i in range(2)]

    assert n_tokens == sum(lengths) + 2 * 2
    torch.testing.assert_close(together, alone[0] + alone[1])


def test_likelihoods_are_the_loss_text_by_text(
    golden: dict[str, Any], golden_model: SonarText, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, targets = golden["embeddings"][:5], golden["targets"]["eng_Latn"][:5]
    langs = ["eng_Latn"] * 5
    whole = golden_model.log_likelihoods(embeddings, targets, langs)
    for row in range(5):
        with torch.no_grad():
            total, count = golden_model.loss(embeddings[row : row + 1], targets[row : row + 1], langs[:1])
        assert float(whole[row]) == pytest.approx(-float(total) / count, abs=1e-5)
    monkeypatch.setattr(slt.text.sonar, "LOGITS_PER_SEARCH", 1)  # one text at a time
    torch.testing.assert_close(golden_model.log_likelihoods(embeddings, targets, langs), whole)


def test_a_text_that_goes_round_in_circles_is_searched_again(config: SonarTextConfig, tokenizer_path: Path) -> None:
    """A decoder trained to say one thing on and on, as one far from its training data does."""
    torch.manual_seed(0)
    stack = replace(config.decoder, max_seq_len=100, dropout=0.0)
    model = SonarText.build(replace(config, encoder=stack, decoder=stack), tokenizer_path)
    embedding, text = torch.randn(1, 32), " ".join(["the mountains"] * 6)
    optimiser = torch.optim.Adam(model.decoder.parameters(), 3e-3)
    for _ in range(80):
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


def test_smoothed_labels_cost_more_where_the_model_is_sure(golden: dict[str, Any], golden_model: SonarText) -> None:
    arguments = golden["embeddings"][:4], golden["targets"]["eng_Latn"][:4], ["eng_Latn"] * 4
    assert golden_model.loss(*arguments, label_smoothing=0.2)[0] > golden_model.loss(*arguments)[0]


def test_gradients_reach_the_embeddings_and_both_models(model: SonarText) -> None:
    embeddings = model.embed_batch(["das Wetter", "we go hiking"], ["deu_Latn", "eng_Latn"])
    embeddings.retain_grad()
    model.loss(embeddings, ["the weather", "wir wandern"], ["eng_Latn", "deu_Latn"])[0].backward()

    assert embeddings.grad is not None
    assert all(value.grad is not None for value in model.parameters())


def test_decoding_and_embedding_leave_training_as_it_was(model: SonarText) -> None:
    model.decoder.eval()
    before = [part.training for part in model.modules()]
    embeddings = model.embed(["we go"], "eng_Latn")
    model.decode(embeddings, ["eng_Latn"], max_tokens=5)

    assert [part.training for part in model.modules()] == before
    assert torch.equal(model.embed(["we go"], "eng_Latn"), embeddings)  # no dropout
    embeddings.requires_grad_()  # an inference tensor would refuse


def test_an_unknown_language_stops_embedding_and_training(model: SonarText) -> None:
    with pytest.raises(UserError, match="does not know fra_Latn"):
        model.embed(["a"], "fra_Latn")
    with pytest.raises(UserError, match="unknown language 'de'"):
        model.embed_batch(["a"], ["de"])
    with pytest.raises(UserError, match="unknown language 'de'"):
        model.loss(torch.zeros(1, 32), ["a"], ["de"])


# --- weights in and out -----------------------------------------------------------------------------------------------


def test_weights_go_out_and_in_again(model: SonarText, config: SonarTextConfig, tokenizer_path: Path) -> None:
    again = SonarText.load(config, model.decoder_weights(), tokenizer_path, model.text_encoder_weights())

    assert not again.training
    assert again.decoder.final_proj.weight is again.decoder.decoder_frontend.embed.weight
    assert len(list(again.parameters())) == len(list(model.parameters()))
    embeddings = model.embed(SENTENCES["eng_Latn"], "eng_Latn")
    assert torch.equal(again.embed(SENTENCES["eng_Latn"], "eng_Latn"), embeddings)
    options = {"nbest": 3, "max_tokens": 12}
    assert again.decode(embeddings, ["deu_Latn"], **options) == model.decode(embeddings, ["deu_Latn"], **options)


def test_without_a_text_encoder_only_embedding_is_missing(golden: dict[str, Any], golden_model: SonarText) -> None:
    model = SonarText.load(golden["config"], golden["decoder"], golden["tokenizer"])

    assert model.decode(golden["embeddings"][:2], LANGS) == golden_model.decode(golden["embeddings"][:2], LANGS)
    for wanted in (lambda: model.embed(["mix"], "eng_Latn"), model.text_encoder_weights):
        with pytest.raises(SltError, match="came without a text encoder"):
            wanted()


def test_encoder_and_decoder_may_differ_in_width(config: SonarTextConfig, tokenizer_path: Path) -> None:
    wide = replace(config, encoder=replace(config.encoder, model_dim=48))
    model = SonarText.build(wide, tokenizer_path)
    embeddings = model.embed(["we go"], "eng_Latn")

    assert embeddings.shape == (1, 48)
    assert len(model.decode(embeddings, ["eng_Latn"], max_tokens=4)) == 1
    assert model.loss(embeddings, ["we go"], ["eng_Latn"])[1] > 2


def test_half_precision_keeps_the_positions_exact(golden: dict[str, Any], golden_model: SonarText) -> None:
    weights = golden["decoder"], golden["tokenizer"], golden["encoder"]
    half = SonarText.load(golden["config"], *weights, dtype=torch.bfloat16)

    assert half.dtype == half.embed(["mix"], "eng_Latn").dtype == torch.bfloat16
    positions = [model.decoder.decoder_frontend.pos_encoder.freqs for model in (half, golden_model)]
    assert torch.equal(*positions)
    found, expected = (model.decode(golden["embeddings"], ["eng_Latn"]) for model in (half, golden_model))
    same = sum(a == b for a, b in zip(texts(found, "eng_Latn"), texts(expected, "eng_Latn"), strict=True))
    assert same >= 24


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_can_be_copied(golden: dict[str, Any], golden_model: SonarText, duplicate: Any) -> None:
    twin = duplicate(golden_model)

    assert twin.decoder is not golden_model.decoder
    assert twin.decode(golden["embeddings"][:3], LANGS) == golden_model.decode(golden["embeddings"][:3], LANGS)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.model").write_bytes(b"\x00\x01\x02")
    for name in ("torn.model", "absent.model"):
        with pytest.raises(UserError, match=f"{name} is not a readable sentencepiece model"):
            load_tokenizer(tmp_path / name, ["eng_Latn"])


def test_a_tokenizer_with_other_ids_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "other.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES["eng_Latn"]),
            model_writer=file,
            vocab_size=30,
            hard_vocab_limit=False,
            minloglevel=2,
            **{"unk_id": 2, "bos_id": 0, "eos_id": 1},
        )
    with pytest.raises(UserError, match="must have the ids 0, 1 and 2"):
        load_tokenizer(tmp_path / "other.model", ["eng_Latn"])


# --- the self test ----------------------------------------------------------------------------------------------------


def test_the_self_test_runs_and_leaves_the_random_state_alone(capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()

    assert self_test() == "tiny SONAR encoder and decoder: 3 texts embedded, each searched in 2 languages"
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_the_self_test_notices_wrong_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SonarText, "decode", lambda *_, **__: [])
    with pytest.raises(SltError, match="decoder gave wrong texts"):
        self_test()
    monkeypatch.setattr(SonarText, "embed", lambda *_, **__: torch.full((3, 16), math.nan))
    with pytest.raises(SltError, match="encoder gave wrong embeddings"):
        self_test()
