"""T5 and mBART as text decoders: what they write, how sure they are, and what they learn from."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from slt.core.errors import SltError, UserError
from slt.models.checkpoint import read_weights, save_weights
from slt.models.cpu_kernels import use_cpu_kernels
from slt.text.hf import search as hf_search
from slt.text.hf.decoder import HfText
from slt.text.hf.model import IGNORED, as_encoded, log_likelihoods, teacher_forced
from slt.text.hf.search import BeamSearch
from tests.text.hf_models import KINDS, LANGS, SHAPES, TEXTS, alone, make_output, make_text

LENGTHS = (3, 9, 1, 6)


def texts_of(found):
    return [{lang: [one.text for one in hypotheses] for lang, hypotheses in row.items()} for row in found]


def scores_of(found):
    return torch.tensor([one.score for row in found for hypotheses in row.values() for one in hypotheses])


@pytest.mark.parametrize("source", ["sequence", "sentence"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_does_not_depend_on_its_neighbours(kind, source):
    text, output = make_text(kind, source=source), make_output(*LENGTHS)
    together = text.translate(output, LANGS[kind], beam_size=4, nbest=3, max_tokens=12)
    apart = [
        text.translate(alone(output, place), [lang], beam_size=4, nbest=3, max_tokens=12)[0]
        for place in range(len(LENGTHS))
        for lang in LANGS[kind]
    ]
    n_langs = len(LANGS[kind])
    joined = [{k: v for row in apart[i : i + n_langs] for k, v in row.items()} for i in range(0, len(apart), n_langs)]
    assert texts_of(together) == texts_of(joined)
    torch.testing.assert_close(scores_of(together), scores_of(joined), rtol=0, atol=1e-5)
    assert len({str(row) for row in texts_of(together)}) > 1, "the clips differ, so should their texts"


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_each_text_has_a_limit_of_its_own_as_if_it_were_alone(kind, beam_size):
    text, output, limits = make_text(kind), make_output(*LENGTHS), (2, 30, 5, 11)
    options = {"beam_size": beam_size, "nbest": beam_size}
    together = text.translate(output, LANGS[kind], max_tokens=limits, **options)
    for place, limit in enumerate(limits):
        apart = text.translate(alone(output, place), LANGS[kind], max_tokens=limit, **options)
        assert texts_of(together[place : place + 1]) == texts_of(apart)
        torch.testing.assert_close(scores_of(together[place : place + 1]), scores_of(apart), rtol=0, atol=1e-5)
        for lang, hypotheses in together[place].items():
            assert [one.truncated for one in hypotheses] == [one.truncated for one in apart[0][lang]]


@pytest.mark.parametrize("kind", KINDS)
def test_search_and_scores_are_transformers_own(kind):
    text, output = make_text(kind), make_output(5)
    lang = LANGS[kind][0]
    found = text.translate(output, [lang], beam_size=3, nbest=3, max_tokens=4)[0][lang]
    states, mask = text._states(output)
    prompt = torch.tensor([text.tokens.prompt(lang)])
    expected = text.model.generate(
        encoder_outputs=as_encoded(states),
        attention_mask=mask.long(),
        decoder_input_ids=prompt,
        num_beams=3,
        num_return_sequences=3,
        max_new_tokens=4 * text.tokens.spread,
        suppress_tokens=list(text.tokens.forbidden),
        pad_token_id=text.tokens.pad,
        eos_token_id=text.tokens.end,
        decoder_start_token_id=int(prompt[0, 0]),
        output_scores=True,
        return_dict_in_generate=True,
    )
    ids = expected.sequences[:, prompt.shape[1] :].tolist()
    assert [one.text for one in found] == [text.tokens.text(row) for row in ids]
    assert [one.truncated for one in found] == [text.tokens.end not in row for row in ids]
    torch.testing.assert_close(torch.tensor([one.score for one in found]), expected.sequences_scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_scored_in_parts_that_fit_into_memory(kind, tied):
    text, output = make_text(kind, model={**SHAPES[kind], "tie_word_embeddings": tied}), make_output(5, 3, 4)
    if kind == "mbart":
        text.model.final_logits_bias.normal_()
    targets = [text.tokens.target(words) for words in TEXTS]
    given = (text._states(output), [text.tokens.prompt(LANGS[kind][0])] * len(TEXTS), targets)
    logits, wanted = teacher_forced(text.model, text.tokens, *given)
    losses = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none", ignore_index=IGNORED)
    expected = -losses.sum(1) / (wanted != IGNORED).sum(1)
    sizes = []
    text.model.lm_head.register_forward_hook(lambda _, __, made: sizes.append(made.numel()))
    n, vocabulary = sum(map(len, targets)), text.model.config.vocab_size
    for tokens_at_once in (1, 4, n):
        sizes.clear()
        found = log_likelihoods(text.model, text.tokens, *given, max_logits=tokens_at_once * vocabulary)
        torch.testing.assert_close(torch.tensor(found), expected.detach(), rtol=0, atol=1e-5)
        assert max(sizes) == tokens_at_once * vocabulary
        assert sum(sizes) == n * vocabulary


@pytest.mark.parametrize("kind", KINDS)
def test_no_search_makes_more_logits_at_once_than_it_may(kind, monkeypatch):
    text, output = make_text(kind), make_output(5, 3)
    free = text.translate(output, LANGS[kind], beam_size=3, nbest=3, max_tokens=12)
    at_most = 3 * text.model.config.vocab_size
    monkeypatch.setattr(hf_search, "LOGITS_PER_SEARCH", at_most)
    sizes = []
    text.model.lm_head.register_forward_hook(lambda _, __, made: sizes.append(made.numel()))
    bounded = text.translate(output, LANGS[kind], beam_size=3, nbest=3, max_tokens=12)
    assert max(sizes) == at_most * len(text.tokens.prompt("eng_Latn")), "its tokens go in together"
    assert texts_of(bounded) == texts_of(free)
    torch.testing.assert_close(scores_of(bounded), scores_of(free), rtol=0, atol=1e-5)


def test_a_t5_may_write_with_more_layers_than_it_reads_with():
    text = make_text("t5", model={**SHAPES["t5"], "num_decoder_layers": 3})
    found = text.translate(make_output(3, 2), ["eng_Latn"], beam_size=2, max_tokens=6)
    again = text.translate(alone(make_output(3, 2), 1), ["eng_Latn"], beam_size=2, max_tokens=6)
    assert texts_of(found)[1:] == texts_of(again)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_transformers_own(kind):
    text, output = make_text(kind), make_output(4, 2, 7)
    langs = [LANGS[kind][0]] * 3
    total, n = text.loss(output, TEXTS, langs)
    states, mask = text._states(output)
    rows = [text.tokens.target(words) for words in TEXTS]
    prompts = [text.tokens.prompt(lang) for lang in langs]
    # transformers' labels are what the decoder is fed, moved by one; of mBART-50 they hold the language, which is given
    labels = [[IGNORED] * (len(prompt) - 1) + row for prompt, row in zip(prompts, rows, strict=True)]
    longest = max(map(len, labels))
    labels = torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels])
    fed = [prompt + row[:-1] for prompt, row in zip(prompts, rows, strict=True)]
    fed = torch.tensor([row + [text.tokens.pad] * (longest - len(row)) for row in fed])
    mean = text.model(
        encoder_outputs=as_encoded(states), attention_mask=mask, decoder_input_ids=fed, labels=labels
    ).loss
    assert n == sum(map(len, rows))
    torch.testing.assert_close(total / n, mean)
    if kind == "t5":  # which shifts labels as we do; mBART's shift is the older one's, with the language at the end
        text.model.config.decoder_start_token_id = 0
        by_labels = text.model(encoder_outputs=as_encoded(states), attention_mask=mask, labels=labels).loss
        torch.testing.assert_close(total / n, by_labels)


@pytest.mark.parametrize("kind", KINDS)
def test_label_smoothing_is_torchs(kind):
    text, output = make_text(kind), make_output(4, 2, 7)
    langs = [LANGS[kind][0]] * 3
    seen = text._states(output)
    rows = [text.tokens.target(words) for words in TEXTS]
    logits, targets = teacher_forced(text.model, text.tokens, seen, [text.tokens.prompt(lang) for lang in langs], rows)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.2, reduction="sum")
    total, _ = text.loss(output, TEXTS, langs, label_smoothing=0.2)
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_belongs_to_which_clip(kind):
    text, output = make_text(kind, dropout=0.0), make_output(4, 2, 7)
    langs = [LANGS[kind][0]] * 3
    optimizer = torch.optim.AdamW(text.parameters(), 1e-2)
    text.train()
    for _ in range(100):
        total, n = text.loss(output, TEXTS, langs)
        optimizer.zero_grad()
        (total / n).backward()
        optimizer.step()
    found = text.translate(output, langs[:1], beam_size=3)
    assert text.training
    assert [row[langs[0]][0].text for row in found] == list(TEXTS)
    assert not any(row[langs[0]][0].truncated for row in found)
    assert all(-0.5 < row[langs[0]][0].score < 0 for row in found)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_is_the_same(kind, tmp_path):
    text, output = make_text(kind, text_encoder=True), make_output(*LENGTHS)
    save_weights(tmp_path / "text.safetensors", text.state_dict())
    (tmp_path / "tokenizer.model").write_bytes(text.tokens.proto)
    weights = read_weights(tmp_path / "text.safetensors")
    loaded = HfText.load(text.config, weights, tmp_path / "tokenizer.model")
    assert not loaded.training
    for other in (loaded, copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert texts_of(other.translate(output, LANGS[kind], max_tokens=8)) == texts_of(
            text.translate(output, LANGS[kind], max_tokens=8)
        )
        torch.testing.assert_close(other.embed(TEXTS, "eng_Latn"), text.embed(TEXTS, "eng_Latn"))
    name = next(iter(weights))
    with pytest.raises(UserError, match=rf"these weights of a {kind} text decoder does not fit .* 1 missing"):
        HfText.load(text.config, {k: v for k, v in weights.items() if k != name}, tmp_path / "tokenizer.model")
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        HfText.load(text.config, weights, tmp_path / "absent.model")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_settled_on_a_cpu_it_is_the_same(kind, dtype):
    output = make_output(*LENGTHS)
    text = make_text(kind).to(dtype)
    expected = scores_of(text.float().translate(output, LANGS[kind], max_tokens=8, beam_size=2))
    settled = make_text(kind).to(dtype)
    use_cpu_kernels(settled)
    found = scores_of(settled.translate(output, LANGS[kind], max_tokens=8, beam_size=2))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 if dtype == torch.float32 else 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_embedded_each_by_itself(kind):
    text = make_text(kind, text_encoder=True)
    embeddings = text.embed(TEXTS, "eng_Latn")
    assert embeddings.shape == (3, 16)
    assert not embeddings.requires_grad
    for words, embedding in zip(TEXTS, embeddings, strict=True):
        torch.testing.assert_close(text.embed([words], "eng_Latn")[0], embedding, rtol=0, atol=1e-6)
        ids = torch.tensor([text.tokens.source(words, "eng_Latn")])
        expected = text.model.get_encoder()(input_ids=ids).last_hidden_state.mean(1)[0]
        torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-6)


def test_an_mbart_that_only_writes_has_no_text_encoder():
    text = make_text("mbart")
    assert not any(name.startswith("model.model.encoder") for name in text.state_dict())
    with pytest.raises(SltError, match="without its text encoder"):
        text.embed(TEXTS, "eng_Latn")


def test_texts_that_go_in_circles_are_searched_again(monkeypatch):
    genuine = BeamSearch.__call__

    def search(self, rows, *, forbid_repeats=False):
        if forbid_repeats and len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return genuine(self, rows, forbid_repeats=forbid_repeats)

    monkeypatch.setattr(BeamSearch, "__call__", search)
    text, output = make_text("mbart"), make_output(5, 5)
    stuck, end = text.tokens.target("weather")[0], text.tokens.end
    text.model.final_logits_bias[0, stuck], text.model.final_logits_bias[0, end] = 100.0, -200.0
    found = text.translate(output, ["eng_Latn"], beam_size=1, max_tokens=40)
    best = [row["eng_Latn"][0] for row in found]
    assert all(one.looped and one.truncated for one in best)
    ids = text.tokens.target(best[0].text)[:-1]
    fours = [tuple(ids[i : i + 4]) for i in range(len(ids) - 3)]
    assert max(map(fours.count, fours)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_model_behind_a_bridge_stays_in_evaluation(kind):
    text = make_text(kind)
    text.model.requires_grad_(False)
    text.train()
    assert text.bridge.training
    assert not text.model.training


def test_texts_that_are_too_long_are_cut_and_that_is_told_once(capsys):
    text = make_text("mbart", model={**SHAPES["mbart"], "max_position_embeddings": 16})
    output = make_output(3, 3)
    _, n = text.loss(output, ["the weather is nice today " * 5] * 2, ["eng_Latn"] * 2)
    assert n == 2 * 15  # 16 positions, of which the prompt takes two, and the last token none
    assert text.n_cut == 2
    assert (
        capsys.readouterr().err.count("texts longer than 15 tokens are truncated; the first one starts with 'the wea")
        == 1
    )


def test_what_cannot_be_translated_is_told():
    text, output = make_text("mbart"), make_output(3, 2)
    with pytest.raises(UserError, match="does not support fra_Latn"):
        text.translate(output, ["fra_Latn"])
    with pytest.raises(UserError, match="does not support fra_Latn"):
        text.loss(output, TEXTS[:2], ["fra_Latn"] * 2)
    with pytest.raises(UserError, match="does not support fra_Latn"):
        text.embed(TEXTS, "fra_Latn")
    with pytest.raises(UserError, match=r"found beam size .*, expected 1 to "):
        text.translate(output, ["eng_Latn"], beam_size=1000)
    broken = output.sequence.clone()
    broken[1, 0] = math.nan
    with pytest.raises(SltError, match="the encoder output of clips 1 contains NaN"):
        text.translate(replace(output, sequence=broken), ["eng_Latn"])
