"""ROUGE-L, METEOR, CIDEr-D and TER per sentence."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COCO_BETA = 1.2
CIDER_ORDER, CIDER_SIGMA, CIDER_SCALE = 4, 6.0, 10.0


def rouge_words(text: str) -> list[str]:
    """Split a text as rouge-score does: lower-cased, at every character except a-z and 0-9."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def rouge_l(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """Return ROUGE-L, 0 to 1, as in rouge-score and most of the summarisation literature: F1.

    Reference:
        Lin 2004.
    """
    return _rouge(hypothesis, reference, beta=1.0)


def rouge_l_coco(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """Return ROUGE-L, 0 to 1, as in the COCO caption scorer and the code of many PHOENIX papers: F with beta 1.2."""
    return _rouge(hypothesis, reference, beta=COCO_BETA)


def _rouge(hypothesis: Sequence[str], reference: Sequence[str], *, beta: float) -> float:
    common = longest_common_subsequence(hypothesis, reference)
    if not common:
        return 0.0
    precision, recall = common / len(hypothesis), common / len(reference)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of two texts, bit-parallel.

    Reference:
        Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    all_bits = (1 << len(left)) - 1
    row = all_bits  # a zero bit marks an increase in the table
    for word in right:
        matching = row & places.get(word, 0)
        row = ((row + matching) | (row - matching)) & all_bits
    return len(left) - row.bit_count()


def ter_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> Floats:
    """Return (N, 2) float64: sacrebleu's number of edits, and words of the reference."""
    from sacrebleu.metrics.ter import TER

    scorer = TER()
    scores = [scorer.sentence_score(ours, [theirs]) for ours, theirs in zip(hypotheses, references, strict=True)]
    return np.array([[one.num_edits, one.ref_length] for one in scores], np.float64).reshape(-1, 2)


def ter_score(totals: Floats) -> Floats:
    """Compute TER in percent from summed statistics (…, 2); 100 for an empty reference with edits."""
    edits, words = totals[..., 0], totals[..., 1]
    return np.where(words > 0, 100 * edits / np.maximum(words, 1), np.where(edits > 0, 100.0, 0.0))


def ter_signature() -> str:
    """Return sacrebleu's signature of TER."""
    return f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{version('sacrebleu')}"


def meteor(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Floats:
    """Return nltk's METEOR of each pair of word lists, (N,), 0 to 1; with synonyms if WordNet is installed.

    Not comparable with the Java implementation, whose formula differs.
    """
    from nltk.translate.meteor_score import single_meteor_score

    wordnet, stemmer = _wordnet(), _CachedStemmer()
    pairs = zip(references, hypotheses, strict=True)
    scores = [
        single_meteor_score(theirs, ours, stemmer=stemmer, wordnet=wordnet) if ours and theirs else 0.0
        for theirs, ours in pairs
    ]
    return np.array(scores, np.float64)


def meteor_signature(tokenizer: str) -> str:
    """Return the signature of METEOR."""
    known = "no" if isinstance(_wordnet(), _NoWordNet) else "yes"
    return f"nrefs:1|case:lc|tok:{tokenizer}|formula:nltk|stem:porter|wordnet:{known}|version:{version('nltk')}"


class _NoWordNet:
    """WordNet without synonyms."""

    def synsets(self, word: str) -> list[Any]:
        return []


class _CachedStemmer:
    """Porter stemmer with a cache, because it is slow."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = cache(PorterStemmer().stem)


@cache
def _wordnet() -> Any:
    """Return nltk's WordNet if its data is installed; never downloads it."""
    import nltk
    from nltk.corpus import wordnet

    for place in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(place)
        except LookupError:
            continue
        return wordnet
    return _NoWordNet()


def caption_words(tokens: Sequence[str]) -> list[str]:
    """Remove tokens without a letter or digit, as in the COCO scorer's preprocessing."""
    return [token for token in tokens if any(sign.isalnum() for sign in token)]


def cider_d(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Floats:
    """Return CIDEr-D of each pair of word lists, (N,), 0 to 10; document frequencies come from these references.

    Reference:
        Vedantam et al. 2015, and the COCO caption scorer, which uses the number of bigrams as length.
    """
    grams = [_grams(words) for words in references]
    frequency = Counter(gram for counts in grams for gram in counts)
    log_n = math.log(len(references)) if references else 0.0
    idf = {gram: log_n - math.log(count) for gram, count in frequency.items()}
    scores = [_cider(_grams(ours), theirs, idf, max_idf=log_n) for ours, theirs in zip(hypotheses, grams, strict=True)]
    return np.array(scores, np.float64)


def _cider(
    ours: Counter[tuple[str, ...]],
    theirs: Counter[tuple[str, ...]],
    idf: dict[tuple[str, ...], float],
    *,
    max_idf: float,
) -> float:
    squares = [[0.0] * CIDER_ORDER, [0.0] * CIDER_ORDER]
    shared, bigrams = [0.0] * CIDER_ORDER, [0, 0]
    for side, counts in enumerate((ours, theirs)):
        for gram, count in counts.items():
            squares[side][len(gram) - 1] += (count * idf.get(gram, max_idf)) ** 2
            bigrams[side] += count if len(gram) == 2 else 0
    for gram in ours.keys() & theirs.keys():
        shared[len(gram) - 1] += min(ours[gram], theirs[gram]) * theirs[gram] * idf[gram] ** 2
    total = sum(
        part / math.sqrt(left * right) for part, left, right in zip(shared, *squares, strict=True) if left and right
    )
    length_penalty = math.exp(-((bigrams[0] - bigrams[1]) ** 2) / (2 * CIDER_SIGMA**2))
    return CIDER_SCALE * length_penalty * total / CIDER_ORDER


def _grams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + n]) for n in range(1, CIDER_ORDER + 1) for start in range(len(words) - n + 1)
    )
