"""Every metric equals its reference implementation, which each test names; tiny cases are counted by hand."""

import json
import math
import random
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from nltk.translate.meteor_score import single_meteor_score

from slt.core.errors import UserError
from slt.evaluate import overlap
from slt.evaluate.bleu import bleu_score, bleu_statistics, chrf_score, chrf_statistics, load_tokenizer, tokenize
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.text_metrics import (
    Pairs,
    bleu,
    chrf,
    default_tokenizer,
    metrics_for,
    score_pairs,
    sentence_scores,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics" / "overlap.json").read_text("utf-8"))
VOCABULARY = [
    "the",
    "a",
    "cat",
    "dog,",
    "runs.",
    "(hi)",
    "über",
    "schön",
    "it's",
    "1,000",
    "x",
    "天气",
    "\u2028",
    "!",
    "Straße",
    "5%",
    "--",
]


def corpus(n=120, seed=0):
    """Texts with everything in them: nothing, one word, repeats, marks, scripts, line separators."""
    rng = random.Random(seed)
    references = [" ".join(rng.choices(VOCABULARY, k=rng.randint(0, 14))) for _ in range(n)]
    hypotheses = [" ".join(word for word in text.split(" ") if rng.random() < 0.8) for text in references]
    return hypotheses, references


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char", "zh", "none"])
def test_bleu_is_sacrebleus(tokenizer, lowercase):
    hypotheses, references = corpus()
    sides = (tokenize(side, tokenizer, lowercase=lowercase) for side in (hypotheses, references))
    statistics = bleu_statistics(*sides)
    for order in range(1, 5):
        theirs = sacrebleu.BLEU(tokenize=tokenizer, lowercase=lowercase, max_ngram_order=order)
        assert bleu_score(statistics.sum(0), order=order) == pytest.approx(
            theirs.corpus_score(hypotheses, [references]).score, abs=1e-9
        )
    single = sacrebleu.BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=True)
    one_by_one = [single.sentence_score(h, [r]).score for h, r in zip(hypotheses, references, strict=True)]
    assert bleu_score(statistics, effective_order=True) == pytest.approx(one_by_one, abs=1e-9)


def test_chrf_is_sacrebleus():
    hypotheses, references = corpus()
    theirs = sacrebleu.CHRF(word_order=2)
    statistics = chrf_statistics(hypotheses, references)
    assert chrf_score(statistics.sum(0)) == pytest.approx(theirs.corpus_score(hypotheses, [references]).score, abs=1e-9)
    one_by_one = [theirs.sentence_score(h, [r]).score for h, r in zip(hypotheses, references, strict=True)]
    assert chrf_score(statistics) == pytest.approx(one_by_one, abs=1e-9)


def test_ter_is_sacrebleus():
    hypotheses, references = corpus()
    totals = overlap.ter_statistics(hypotheses, references).sum(0)
    theirs = sacrebleu.TER()
    assert overlap.ter_score(totals) == pytest.approx(theirs.corpus_score(hypotheses, [references]).score, abs=1e-9)
    assert overlap.ter_signature() == str(theirs.get_signature())


def test_signatures_are_sacrebleus():
    hypotheses, references = corpus(5)
    found = {
        score.name: score.signature for score in score_pairs(Pairs(hypotheses, references), metrics_for("deu_Latn"))
    }
    expected = {
        "bleu4": sacrebleu.BLEU(),
        "bleu4_13a_lower": sacrebleu.BLEU(lowercase=True),
        "bleu4_none": sacrebleu.BLEU(tokenize="none"),
        "bleu4_intl": sacrebleu.BLEU(tokenize="intl"),
        "chrf++": sacrebleu.CHRF(word_order=2),
    }
    for name, metric in expected.items():
        metric.corpus_score(hypotheses, [references])
        assert found[name] == str(metric.get_signature())


def test_rouge_l_is_rouge_scores():
    both = zip(GOLDEN["hypotheses"], GOLDEN["references"], strict=True)
    found = [overlap.rouge_l(overlap.rouge_words(h), overlap.rouge_words(r)) for h, r in both]
    assert found == pytest.approx(GOLDEN["rouge_l"], abs=1e-9)


def test_the_other_rouge_l_is_the_coco_scorers():
    both = zip(GOLDEN["hypotheses"], GOLDEN["references"], strict=True)
    found = [overlap.rouge_l_coco(h.split(), r.split()) for h, r in both]
    assert found == pytest.approx(GOLDEN["rouge_l_coco"], abs=1e-9)


def test_cider_d_is_the_coco_scorers():
    sides = ([text.split() for text in GOLDEN[side]] for side in ("hypotheses", "references"))
    assert overlap.cider_d(*sides) == pytest.approx(GOLDEN["cider_d"], abs=1e-9)


def test_meteor_is_nltks():
    class NoSynonyms:
        def synsets(self, word):
            return []

    sides = [[text.split() for text in GOLDEN[side]] for side in ("hypotheses", "references")]
    expected = [single_meteor_score(r, h, wordnet=NoSynonyms()) for h, r in zip(*sides, strict=True)]
    if "wordnet:no" in overlap.meteor_signature("none"):
        assert overlap.meteor(*sides) == pytest.approx(expected, abs=1e-9)
    assert overlap.meteor([[]], [["a"]]) == overlap.meteor([["a"]], [[]]) == [0.0]


def test_counted_by_hand():
    # 5 words against 6: 5 of 5 words, 3 of 4 pairs, 2 of 3 triples and 1 of 2 fours are right.
    hypothesis, reference = "the cat sat on mat", "the cat sat on the mat"
    shorter = math.exp(1 - 6 / 5)
    assert bleu([hypothesis], [reference], order=1).value == pytest.approx(100 * shorter)
    by_hand = 100 * shorter * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu([hypothesis], [reference]).value == pytest.approx(by_hand)
    assert overlap.rouge_l(hypothesis.split(), reference.split()) == pytest.approx(2 * 1 * (5 / 6) / (1 + 5 / 6))
    assert overlap.ter_statistics([hypothesis], [reference]).tolist() == [[1, 6]]


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [("", "", 0), ("a", "", 0), ("a b c", "c b a", 1), ("a b a c", "a a c", 3), ("x " * 100, "x " * 70, 70)],
)
def test_longest_common_subsequence(left, right, common):
    assert overlap.longest_common_subsequence(left.split(), right.split()) == common


def test_an_empty_hypothesis_scores_nothing_and_costs_its_length():
    assert bleu([""], ["one two three four"]).value == chrf([""], ["one two"]).value == 0
    alone, with_empty = bleu(["one two three four"], ["one two three four"]), None
    with_empty = bleu(["one two three four", ""], ["one two three four"] * 2)
    assert alone.value == pytest.approx(100)
    assert with_empty.value == pytest.approx(100 * math.exp(-1))
    for metric in metrics_for("eng_Latn"):
        value = score_pairs(Pairs([""], ["one two"]), [metric])[0].value
        assert value == pytest.approx(100.0 if metric.lower_is_better else 0.0)


def test_an_empty_reference_and_two_empty_texts_are_numbers_too():
    for hypothesis in ("", "one two"):
        for metric in metrics_for("eng_Latn"):
            assert math.isfinite(score_pairs(Pairs([hypothesis], [""]), [metric])[0].value)


def test_one_sentence_has_an_interval_of_one_point():
    score = score_pairs(Pairs(["a b c d"], ["a b c d e"]), metrics_for("eng_Latn", ["bleu4"]), Resampling())[0]
    assert score.low == pytest.approx(score.value)
    assert score.high == pytest.approx(score.value)


def test_different_lengths_are_refused():
    with pytest.raises(UserError, match="found 2 hypotheses and 1 references"):
        bleu(["a", "b"], ["a"])
    with pytest.raises(UserError, match="found no sentences"):
        bleu([], [])


def test_a_metric_nobody_knows_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="unknown metric 'blue4' for texts in eng_Latn") as caught:
        metrics_for("eng_Latn", ["blue4"])
    assert "bleu4" in caught.value.fix


@pytest.mark.parametrize(
    ("lang", "tokenizer"), [("eng_Latn", "13a"), ("zho_Hans", "zh"), ("yue_Hant", "zh"), ("tha_Thai", "char")]
)
def test_the_language_chooses_the_tokenizer(lang, tokenizer):
    assert default_tokenizer(lang) == tokenizer
    names = [metric.name for metric in metrics_for(lang)]
    assert len(names) == len(set(names))
    assert ("rouge_l" in names) == lang.endswith("_Latn")


def test_a_tokenizer_without_its_package_says_so(monkeypatch):
    import_module("sacrebleu.tokenizers.tokenizer_ja_mecab")  # so that it is put back afterwards
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)
    with pytest.raises(UserError, match="the tokenizer ja-mecab needs a package that is not installed"):
        load_tokenizer("ja-mecab")
    with pytest.raises(UserError, match="the tokenizer ja-mecab needs a package that is not installed"):
        metrics_for("jpn_Jpan", ["bleu4_ja-mecab"])
    with pytest.raises(UserError, match="unknown metric 'bleu4_ja-mecab' for texts in eng_Latn"):
        metrics_for("eng_Latn", ["bleu4_ja-mecab"])


@pytest.mark.skipif(
    not all(map(find_spec, ("MeCab", "ipadic"))), reason="mecab-python3 and ipadic are no part of the environment"
)
def test_japanese_by_words_equals_sacrebleu():
    ours, theirs = ["今日は天気がいい", "山に登ります"], ["今日は天気がとてもいい", "山に登りたい"]
    (found,) = score_pairs(Pairs(ours, theirs), metrics_for("jpn_Jpan", ["bleu4_ja-mecab"]))
    expected = sacrebleu.BLEU(tokenize="ja-mecab").corpus_score(ours, [theirs])
    assert 0 < found.value < 100
    assert found.value == pytest.approx(expected.score, abs=1e-6)
    assert "tok:ja-mecab" in found.signature


def test_sentence_scores_are_sacrebleus():
    hypotheses, references = corpus(20)
    by_bleu, by_chrf = sentence_scores(Pairs(hypotheses, references), "eng_Latn")
    both = list(zip(hypotheses, references, strict=True))
    assert by_bleu == pytest.approx([sacrebleu.sentence_bleu(h, [r]).score for h, r in both], abs=1e-9)
    assert by_chrf == pytest.approx([sacrebleu.sentence_chrf(h, [r], word_order=2).score for h, r in both], abs=1e-9)


@pytest.mark.slow
def test_hundred_thousand_lines_are_the_same_as_a_thousand_a_hundred_times():
    hypotheses, references = corpus(1000)
    few, many = Pairs(hypotheses, references), Pairs(hypotheses * 100, references * 100)
    names = ["bleu1", "rouge_l_coco"]
    once, often = (score_pairs(pairs, metrics_for("eng_Latn", names)) for pairs in (few, many))
    assert [score.value for score in often] == pytest.approx([score.value for score in once])


def test_it_loads_no_torch():
    code = "import sys, slt.evaluate.text_metrics, slt.evaluate.retrieval; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_intervals_hold_the_score_and_repeat():
    pairs = Pairs(*corpus())
    metrics = metrics_for("eng_Latn", ["bleu4", "chrf++", "ter"])
    first, second = (score_pairs(pairs, metrics, Resampling(resamples=200)) for _ in range(2))
    assert first == second
    for score in first:
        assert score.low < score.value < score.high
    other = score_pairs(pairs, metrics, Resampling(resamples=200, seed=1))
    assert [score.low for score in other] != [score.low for score in first]
    assert np.allclose([score.low for score in other], [score.low for score in first], atol=3)
