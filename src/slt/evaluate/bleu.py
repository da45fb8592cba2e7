"""BLEU and chrF++ as defined by sacrebleu, from per-sentence statistics that can be summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.registry import resolve
from slt.evaluate.ngrams import character_tokens, count_matches, word_tokens

Floats = NDArray[np.float64]

MAX_ORDER = 4
CHAR_ORDER, WORD_ORDER, BETA = 6, 2, 2
PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
TOKENIZERS: Mapping[str, str] = {
    "13a": "sacrebleu.tokenizers.tokenizer_13a:Tokenizer13a",
    "intl": "sacrebleu.tokenizers.tokenizer_intl:TokenizerV14International",
    "char": "sacrebleu.tokenizers.tokenizer_char:TokenizerChar",
    "zh": "sacrebleu.tokenizers.tokenizer_zh:TokenizerZh",
    "ja-mecab": "sacrebleu.tokenizers.tokenizer_ja_mecab:TokenizerJaMecab",
    "none": "sacrebleu.tokenizers.tokenizer_none:NoneTokenizer",
}


def load_tokenizer(name: str) -> Callable[[str], str]:
    """Return a sacrebleu tokenizer: text → tokens separated by spaces.

    Raises:
        UserError: no such tokenizer, or it needs a package that is not installed.
    """
    try:
        return resolve(TOKENIZERS, name, what="tokenizer")()
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"the tokenizer {name} needs a package that is not installed: {str(error).strip().splitlines()[0]}",
            fix="pip install mecab-python3 ipadic; or remove it: bleu4 then uses characters",
        ) from error


def tokenize(texts: Sequence[str], tokenizer: str, *, lowercase: bool = False) -> list[list[str]]:
    """Split texts into tokens as sacrebleu's BLEU does."""
    split = load_tokenizer(tokenizer)
    return [split((text.lower() if lowercase else text).rstrip()).split() for text in texts]


def bleu_signature(tokenizer: str, *, lowercase: bool, effective_order: bool = False) -> str:
    """Return sacrebleu's BLEU signature, including the tokenizer's version."""
    case, order = "lc" if lowercase else "mixed", "yes" if effective_order else "no"
    tok = load_tokenizer(tokenizer).signature()  # type: ignore[attr-defined]
    return f"nrefs:1|case:{case}|eff:{order}|tok:{tok}|smooth:exp|version:{version('sacrebleu')}"


def bleu_statistics(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Floats:
    """Compute BLEU statistics per sentence.

    Args:
        hypotheses: N lists of tokens.
        references: N lists of tokens.

    Returns:
        (N, 10) float64: hypothesis length, reference length, matching n-grams, hypothesis n-grams; n from 1 to 4.
    """
    ours, theirs = word_tokens(hypotheses, references)
    counts = count_matches(ours, theirs, MAX_ORDER)
    lengths = np.stack([ours.lengths, theirs.lengths], axis=1)
    return np.concatenate([lengths, counts[:, :, 2], counts[:, :, 0]], axis=1)


def bleu_score(totals: Floats, *, order: int = MAX_ORDER, effective_order: bool = False) -> Floats:
    """Compute BLEU from summed statistics, with sacrebleu's exponential smoothing.

    Args:
        totals: (…, 10), sums of rows of ``bleu_statistics``.
        order: maximum n-gram order.
        effective_order: ignore orders longer than the hypothesis, as usual for single sentences.

    Returns:
        (…) float64, 0 to 100.

    Reference:
        Papineni et al. 2002; Post 2018; Chen and Cherry 2014, method 3.
    """
    ours, theirs = totals[..., 0], totals[..., 1]
    shared, made = totals[..., 2 : 2 + order], totals[..., 6 : 6 + order]
    present = made > 0
    # Exponential smoothing: each further order without a match halves the substituted count.
    halvings = np.cumsum((shared == 0) & present, axis=-1)
    precisions = np.where(shared > 0, shared, 0.5**halvings) / np.where(present, made, 1)
    logs = np.where(present, np.log(precisions), 0 if effective_order else -np.inf)
    n_orders = np.maximum(present.sum(-1), 1) if effective_order else order
    brevity = np.exp(np.minimum(1 - theirs / np.maximum(ours, 1e-300), 0))
    score = 100 * brevity * np.exp(logs.sum(-1) / n_orders)
    return np.where(shared.sum(-1) > 0, score, 0.0)


def chrf_signature() -> str:
    """Return sacrebleu's signature of chrF++."""
    return f"nrefs:1|case:mixed|eff:yes|nc:{CHAR_ORDER}|nw:{WORD_ORDER}|space:no|version:{version('sacrebleu')}"


def chrf_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> Floats:
    """Compute chrF++ statistics: (N, 24), per order (6 character, 2 word) [hypothesis, reference, matching] n-grams.

    Hypothesis n-grams of an order are ignored if the reference has none.
    """
    characters = count_matches(character_tokens(hypotheses), character_tokens(references), CHAR_ORDER)
    ours, theirs = word_tokens(list(map(_chrf_words, hypotheses)), list(map(_chrf_words, references)))
    counts = np.concatenate([characters, count_matches(ours, theirs, WORD_ORDER)], axis=1)
    counts[:, :, 0] *= counts[:, :, 1] > 0
    return counts.reshape(len(counts), 3 * (CHAR_ORDER + WORD_ORDER))


def chrf_score(totals: Floats) -> Floats:
    """Compute chrF++, 0 to 100, from summed statistics (…, 24): F2 of precision and recall averaged over orders.

    Reference:
        Popović 2015 and 2017; sacrebleu's averaging (``eff:yes``).
    """
    counts = totals.reshape(*totals.shape[:-1], CHAR_ORDER + WORD_ORDER, 3)
    ours, theirs, shared = counts[..., 0], counts[..., 1], counts[..., 2]
    there = (ours > 0) & (theirs > 0)
    n_orders = np.maximum(there.sum(-1), 1)
    precision = np.where(there, shared / np.maximum(ours, 1), 0).sum(-1) / n_orders
    recall = np.where(there, shared / np.maximum(theirs, 1), 0).sum(-1) / n_orders
    weighted = BETA**2 * precision + recall
    return 100 * (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1)


def _chrf_words(text: str) -> list[str]:
    """Split at whitespace, and one punctuation mark off the end of each word, or else off its start."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in PUNCTUATION:
            words += (word[:-1], word[-1])
        elif len(word) > 1 and word[0] in PUNCTUATION:
            words += (word[0], word[1:])
        else:
            words.append(word)
    return words
