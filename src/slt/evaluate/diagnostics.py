"""Diagnostics: scores of subsets of clips, and how generic the hypotheses are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from slt.data.manifest import Manifest
from slt.data.unicode_forms import normalise
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.results import Group, Repeats, Sentence
from slt.evaluate.text_metrics import Metric, Pairs, Score, score_pairs

LENGTHS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, None))
"""Minimum and maximum number of words of the reference."""
MOST_COMMON = 10


def comparable(text: str) -> str:
    """Return a text in NFC without case, punctuation and repeated spaces, for comparing sentences."""
    return " ".join(re.sub(r"[\W_]+", " ", normalise(text, "NFC").casefold()).split())


def groups_of(sentences: Sequence[Sentence], metrics: Sequence[Metric], resampling: Resampling) -> tuple[Group, ...]:
    """Score groups of clips by reference length, occurrence in training, and signer, where known."""
    kinds: list[tuple[str, Callable[[Sentence], str | None], Sequence[str] | None]] = [
        ("length", _length, [_span(*span) for span in LENGTHS]),
        ("training", _training, ["seen in training", "not seen in training"]),
        ("signer", lambda one: one.signer, None),
    ]
    groups: list[Group] = []
    for by, key, order in kinds:
        members: defaultdict[str, list[Sentence]] = defaultdict(list)
        for one in sentences:
            if (label := key(one)) is not None:
                members[label].append(one)
        for label in order if order is not None else sorted(members):
            if members[label]:
                scores = score_sentences(members[label], metrics, resampling)
                groups.append(Group(by=by, label=label, n=len(members[label]), scores=tuple(scores)))
    return tuple(groups)


def score_sentences(
    sentences: Sequence[Sentence], metrics: Sequence[Metric], resampling: Resampling | None
) -> list[Score]:
    """Compute corpus scores of sentences."""
    pairs = Pairs([one.hypothesis for one in sentences], [one.reference for one in sentences])
    return score_pairs(pairs, metrics, resampling)


def repeats_of(sentences: Sequence[Sentence]) -> Repeats:
    """Measure how often hypotheses are repeated; failed clips are ignored."""
    translated = [one for one in sentences if one.hypothesis.strip()]
    counts = Counter(one.hypothesis for one in translated)
    references: defaultdict[str, set[str]] = defaultdict(set)
    for one in translated:
        references[one.hypothesis].add(comparable(one.reference))
    generic = sum(len(references[one.hypothesis]) > 1 for one in translated)
    return Repeats(
        distinct=_percent(len(counts), len(translated)),
        distinct_references=_percent(len({one.reference for one in sentences}), len(sentences)),
        generic=_percent(generic, len(translated)),
        most=tuple((text, count) for text, count in counts.most_common(MOST_COMMON) if count > 1),
    )


def training_texts(texts: Iterable[str]) -> frozenset[str]:
    """Return the training sentences, normalised by ``comparable``."""
    return frozenset(map(comparable, texts))


def texts_of(manifest: Manifest, lang: str) -> list[str]:
    """Return all texts of a manifest in a language."""
    return [text for clip in manifest.clips if (text := clip.texts().get(lang))]


def _length(sentence: Sentence) -> str | None:
    n_words = len(sentence.reference.split())
    return next((_span(low, high) for low, high in LENGTHS if low <= n_words <= (high or n_words)), None)


def _span(low: int, high: int | None) -> str:
    return f"{low}–{high} words" if high else f"{low} words and more"


def _training(sentence: Sentence) -> str | None:
    return None if sentence.seen is None else "seen in training" if sentence.seen else "not seen in training"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
