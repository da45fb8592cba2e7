"""N-gram counts of a whole corpus of text pairs, for BLEU and chrF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAIRS_AT_ONCE = 2000
"""Sorting many small arrays is faster than sorting a large one, and bounds memory."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Concatenated tokens of N texts.

    Attributes:
        ids: (T,) int64 token ids, shared by the compared sides.
        lengths: (N,) int64, tokens per text.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def parts(self, size: int) -> Iterator[Tokens]:
        """Yield the texts in groups of ``size``."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        for start in range(0, len(self.lengths), size):
            stop = min(start + size, len(self.lengths))
            yield Tokens(ids=self.ids[ends[start] : ends[stop]], lengths=self.lengths[start:stop])


def word_tokens(*sides: Sequence[Sequence[str]]) -> list[Tokens]:
    """Convert lists of words into ids shared by all sides."""
    vocabulary: dict[str, int] = {}
    numbered = []
    for texts in sides:
        ids = [vocabulary.setdefault(word, len(vocabulary)) for words in texts for word in words]
        lengths = np.array([len(words) for words in texts], np.int64)
        numbered.append(Tokens(ids=np.array(ids, np.int64), lengths=lengths))
    return numbered


def character_tokens(texts: Sequence[str]) -> Tokens:
    """Convert texts into character ids, without whitespace."""
    bare = ["".join(text.split()) for text in texts]
    encoded = "".join(bare).encode("utf-32-le", "surrogatepass")
    return Tokens(
        ids=np.frombuffer(encoded, np.uint32).astype(np.int64), lengths=np.array([len(text) for text in bare], np.int64)
    )


def count_matches(hypotheses: Tokens, references: Tokens, max_order: int) -> NDArray[np.float64]:
    """Count n-grams and clipped n-gram matches of each pair of texts.

    Returns:
        (N, max_order, 3) float64: n-grams of the hypothesis, of the reference, and matching; n from 1.
    """
    if not len(hypotheses.lengths):
        return np.zeros((0, max_order, 3))
    parts = zip(hypotheses.parts(PAIRS_AT_ONCE), references.parts(PAIRS_AT_ONCE), strict=True)
    return np.concatenate([_count(ours, theirs, max_order) for ours, theirs in parts])


def _count(ours: Tokens, theirs: Tokens, max_order: int) -> NDArray[np.float64]:
    n_pairs, n_ours = len(ours.lengths), len(ours.ids)
    _, tokens = np.unique(np.concatenate([ours.ids, theirs.ids]), return_inverse=True)
    lengths = np.concatenate([ours.lengths, theirs.lengths])
    pair = np.repeat(np.tile(np.arange(n_pairs), 2), lengths)
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))
    n_tokens = int(tokens.max(initial=0)) + 1

    counts = np.zeros((n_pairs, max_order, 3))
    starts, gram = np.arange(len(tokens)), pair
    for n in range(max_order):
        valid = remaining[starts] > n
        starts, gram = starts[valid], gram[valid]
        # An n-gram id encodes its pair and its words, so that one sort counts all pairs.
        found, gram = np.unique(gram * n_tokens + tokens[starts + n], return_inverse=True)
        mine = starts < n_ours
        of_ours = np.bincount(gram[mine], minlength=len(found))
        of_theirs = np.bincount(gram[~mine], minlength=len(found))
        pair_of = np.empty(len(found), np.int64)
        pair_of[gram] = pair[starts]
        counts[:, n, 0] = np.maximum(ours.lengths - n, 0)
        counts[:, n, 1] = np.maximum(theirs.lengths - n, 0)
        counts[:, n, 2] = np.bincount(pair_of, np.minimum(of_ours, of_theirs), n_pairs)
    return counts
