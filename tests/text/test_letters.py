"""The decoder of letters: connectionist temporal classification, compared with counting all alignments."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import defaultdict

import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.core.tensors import EncoderOutput
from slt.text.int8 import quantise
from slt.text.letters import LettersConfig, LetterText, align, prefix_search, read_alphabet

LANG = "eng_Latn"


def log_probs(n_steps, n_classes, seed):
    logits = torch.randn(n_steps, n_classes, generator=torch.Generator().manual_seed(seed)) * 2
    return logits.log_softmax(-1).numpy()


def collapsed(path):
    return tuple(number for number, _ in itertools.groupby(path) if number)


@pytest.mark.parametrize("seed", range(4))
def test_texts_are_those_of_all_alignments(seed):
    rows = log_probs(5, 3, seed)
    totals = defaultdict(float)
    for path in itertools.product(range(3), repeat=5):
        totals[collapsed(path)] += float(np.exp(sum(row[number] for row, number in zip(rows, path, strict=True))))
    expected = sorted(totals.items(), key=lambda item: -item[1])[:3]
    found = prefix_search(rows, 100)[:3]
    assert [text for text, _ in found] == [text for text, _ in expected]
    np.testing.assert_allclose([np.exp(total) for _, total in found], [total for _, total in expected], rtol=1e-5)


def test_a_letter_that_looks_like_another_for_a_moment_is_one_where_letters_cost():
    rows = np.log(np.full((7, 3), 0.05))
    rows[:, 1] = np.log(0.9)
    rows[3] = np.log([0.01, 0.1, 0.89])
    assert prefix_search(rows, 10)[0][0] == (1, 2, 1)
    (text, total), *_ = prefix_search(rows, 10, letter_cost=3.0)
    assert text == (1,)
    assert total == pytest.approx(dict(prefix_search(rows, 100))[(1,)])


def test_letters_are_aligned_where_they_are_most_probable():
    rows = np.log(np.full((8, 3), 0.05))
    for step, number in enumerate([0, 1, 1, 0, 1, 2, 2, 0]):
        rows[step, number] = np.log(0.9)
    assert align(rows, [1, 1, 2]) == [(1, 3), (4, 5), (5, 7)]
    assert align(rows, []) == []
    assert len(align(rows[:1], [1, 2])) == 2, "more letters than steps"


def align_by_table(rows, numbers):
    """Return what ``align`` does, by a table of all steps and states, one after another."""
    states = [0, *(one for number in numbers for one in (number, 0))]
    best = np.full((len(rows) + 1, len(states)), -np.inf)
    came = np.zeros(best.shape, int)
    best[0, 0] = 0
    for step, row in enumerate(rows, 1):
        for state, number in enumerate(states):
            skips = state >= 2 and number != 0 and number != states[state - 2]
            before = [state, *([state - 1] if state else []), *([state - 2] if skips else [])]
            came[step, state] = max(before, key=lambda one: best[step - 1, one])  # the first of equals
            best[step, state] = best[step - 1, came[step, state]] + row[number]
    state = len(states) - (1 if best[-1, -1] >= best[-1, -2] else 2)
    held = [[] for _ in numbers]
    for step in range(len(rows), 0, -1):
        if state % 2:
            held[state // 2].append(step - 1)
        state = came[step, state]
    return [(min(steps), max(steps) + 1) if steps else (0, len(rows)) for steps in held]


@pytest.mark.parametrize("seed", range(6))
def test_the_alignment_is_that_of_the_whole_table(seed):
    random = np.random.default_rng(seed)
    for n_steps in (1, 2, 3, 7, 16, 40):
        rows = log_probs(n_steps, 4, seed)
        if seed % 2:
            rows = np.round(rows)  # so that many alignments are equally probable
        for n_letters in range(1, min(n_steps + 2, 24)):
            numbers = random.integers(1, 4, n_letters).tolist()
            assert align(rows, numbers) == align_by_table(rows, numbers)


def test_ten_minutes_are_aligned_without_a_table_of_all_steps_and_states():
    letters = np.arange(2500) % 3 + 1
    rows = np.full((7500, 4), np.log(0.02), np.float32)
    rows[:, 0] = np.log(0.9)
    rows[1::3] = np.log(0.02)
    rows[np.arange(1, 7500, 3), letters] = np.log(0.9)
    tracemalloc.start()
    try:
        spans = align(rows, letters.tolist())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spans == [(step, step + 1) for step in range(1, 7500, 3)]
    assert peak < 30e6, "the table of steps and states has 37 million cells"


def test_the_search_compares_texts_by_all_their_letters():
    """Texts that left the beam and come back, or that are made in two ways, are one."""
    rows = log_probs(14, 4, 9)
    everything, few = dict(prefix_search(rows[:6], 10_000)), prefix_search(rows, 6)
    assert np.logaddexp.reduce(list(everything.values())) == pytest.approx(0, abs=1e-5)
    assert len({text for text, _ in few}) == 6
    assert [total for _, total in few] == sorted((total for _, total in few), reverse=True)


@pytest.fixture
def decoder():
    """Return one that reads its states as they are: 0 for no letter, then A and B."""
    text = LetterText(LettersConfig(feature_dim=3, languages=(LANG,)), "AB").eval()
    with torch.no_grad():
        text.output.weight.copy_(torch.eye(3))
        text.output.bias.zero_()
    return text


def output(*clips):
    """Return states that name classes, 3 logits each."""
    longest = max(map(len, clips))
    sequence = torch.zeros(len(clips), longest, 3)
    mask = torch.zeros(len(clips), longest, dtype=torch.bool)
    for row, clip in enumerate(clips):
        mask[row, : len(clip)] = True
        for step, number in enumerate(clip):
            sequence[row, step, number] = 6.0
        sequence[row, len(clip) :] = 9.0  # padding must not matter
    return EncoderOutput(sentence=sequence.mean(1), sequence=sequence, mask=mask)


def test_each_letter_has_a_confidence(decoder):
    first, second = decoder.translate(output([1, 1, 0, 1, 2, 2], [0, 0, 2]), [LANG], nbest=2)
    assert first[LANG][0].text == "AAB"
    assert [one.letter for one in first[LANG][0].letters] == ["A", "A", "B"]
    assert all(0.9 < one.confidence <= 1 for one in first[LANG][0].letters)
    assert second[LANG][0].text == "B"
    assert len(second[LANG]) == 2
    as_json = second[LANG][0].as_json()
    assert as_json["letters"] == [{"letter": "B", "confidence": pytest.approx(0.995, abs=0.001), "at": 0.833333}]
    assert 0.5 < np.exp(second[LANG][0].score) <= 1


def test_only_texts_that_are_asked_for_are_aligned(decoder, monkeypatch):
    aligned = []
    monkeypatch.setattr("slt.text.letters.align", lambda rows, numbers: aligned.append(numbers) or align(rows, numbers))
    for nbest in (1, 2):
        aligned.clear()
        decoder.translate(output([1, 0, 2, 1]), [LANG], beam_size=5, nbest=nbest)
        assert len(aligned) == nbest


def test_nothing_spelled_is_an_empty_text(decoder):
    (found,) = decoder.translate(output([0, 0, 0]), [LANG])
    assert found[LANG][0].text == ""
    assert found[LANG][0].letters == ()


def test_texts_are_cut_at_the_limit(decoder):
    (found,) = decoder.translate(output([1, 2, 1, 2]), [LANG], max_tokens=3)
    assert (found[LANG][0].text, found[LANG][0].truncated) == ("ABA", True)
    assert len(found[LANG][0].letters) == 3


def test_the_loss_is_that_of_the_right_letters(decoder):
    states = output([1, 0, 2], [2, 2, 2])
    assert decoder.loss(states, ["AB", "B"]) < 0.1 < decoder.loss(states, ["BA", "A"])


def test_what_cannot_be_is_refused(decoder, tmp_path):
    with pytest.raises(UserError, match="feature_dim 0, expected at least 1"):
        LettersConfig(feature_dim=0, languages=(LANG,))
    with pytest.raises(UserError, match="languages none, expected exactly one"):
        LettersConfig(feature_dim=3, languages=())
    with pytest.raises(UserError, match="letter_cost -1, expected 0 or more"):
        LettersConfig(feature_dim=3, languages=(LANG,), letter_cost=-1)
    with pytest.raises(UserError, match="deu_Latn"):
        decoder.translate(output([1]), ["deu_Latn"])
    with pytest.raises(UserError, match="found beam size 0, expected 1 to 100"):
        decoder.translate(output([1]), [LANG], beam_size=0)
    with pytest.raises(UserError, match="cannot read the alphabet"):
        read_alphabet(tmp_path / "letters.txt")
    for content in ("", "A\nBC\n", "A\nA\n"):
        (tmp_path / "letters.txt").write_text(content)
        with pytest.raises(UserError, match="is no alphabet: expected one letter a line"):
            read_alphabet(tmp_path / "letters.txt")


def test_in_int8_it_writes_the_same(decoder):
    before = decoder.translate(output([1, 0, 2]), [LANG])[0][LANG][0].text
    quantise(decoder)
    assert decoder.translate(output([1, 0, 2]), [LANG])[0][LANG][0].text == before == "AB"


def test_saved_and_loaded_it_writes_the_same(decoder, tmp_path):
    (tmp_path / "letters.txt").write_text("A\nB\n")
    loaded = LetterText.load(decoder.config, decoder.state_dict(), tmp_path / "letters.txt")
    assert loaded.languages == (LANG,)
    assert loaded.translate(output([1, 2]), [LANG])[0][LANG][0].text == "AB"
