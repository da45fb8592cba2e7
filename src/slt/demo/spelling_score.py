"""Score what was read of fingerspelled words: letters, and characters, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from slt.core.tensors import FeatureBatch
from slt.demo.spelling import Models
from slt.demo.spelling_plan import LANG
from slt.evaluate.bootstrap import Resampling, resampled_totals
from slt.video.keypoints import Keypoints

CLIPS_AT_ONCE = 32
RIGHT, OTHER, MISSED, ADDED = range(4)


@dataclass(frozen=True, kw_only=True)
class SpellingScore:
    """A score with its 95 % intervals, by bootstrap over clips.

    Attributes:
        letters: share of the letters that were read, in their place.
        letters_interval: of it.
        cer: character error rate: letters other, missed and added, in letters.
        cer_interval: of it.
        n_clips: how many clips.
        n_letters: letters in them.
    """

    letters: float
    letters_interval: tuple[float, float]
    cer: float
    cer_interval: tuple[float, float]
    n_clips: int
    n_letters: int


def read_words(models: Models, keypoints: Sequence[Keypoints]) -> list[str]:
    """Return what a model reads in clips of (T, 75, 3) keypoints."""
    encoder, decoder = models
    encoder.eval()
    rows = [torch.from_numpy(one.reshape(len(one), -1)) for one in keypoints]
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(rows), CLIPS_AT_ONCE):
            output = encoder(FeatureBatch.of(rows[start : start + CLIPS_AT_ONCE]))
            texts += [found[LANG][0].text for found in decoder.translate(output, [LANG])]
    return texts


def score_spelling(texts: Sequence[str], references: Sequence[str]) -> SpellingScore:
    """Compare texts with their references, one each."""
    rows = []
    for text, reference in zip(texts, references, strict=True):
        kinds = Counter(kind for kind, _, _ in edits(text, reference))
        rows.append([kinds[RIGHT], kinds[OTHER] + kinds[MISSED] + kinds[ADDED], len(reference)])
    counts = np.array(rows, np.float64)
    drawn = resampled_totals(counts, Resampling())
    right, wrong, total = counts.sum(0)
    return SpellingScore(
        letters=right / total,
        letters_interval=_interval(drawn[:, 0] / drawn[:, 2]),
        cer=wrong / total,
        cer_interval=_interval(drawn[:, 1] / drawn[:, 2]),
        n_clips=len(counts),
        n_letters=int(total),
    )


def confusions(texts: Sequence[str], references: Sequence[str]) -> Counter[tuple[str, str]]:
    """Count (letter that was spelled, letter that was read) of all errors; "" for none."""
    return Counter(
        (spelled, read)
        for text, reference in zip(texts, references, strict=True)
        for kind, spelled, read in edits(text, reference)
        if kind != RIGHT
    )


def edits(text: str, reference: str) -> list[tuple[int, str, str]]:
    """Return (kind, letter spelled, letter read) of the fewest edits between two texts, in order."""
    cost = np.zeros((len(reference) + 1, len(text) + 1), np.int64)
    cost[:, 0], cost[0] = np.arange(len(reference) + 1), np.arange(len(text) + 1)
    for i, spelled in enumerate(reference, 1):
        for j, read in enumerate(text, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (spelled != read), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    found = []
    i, j = len(reference), len(text)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (reference[i - 1] != text[j - 1]):
            i, j = i - 1, j - 1
            found.append((RIGHT if reference[i] == text[j] else OTHER, reference[i], text[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            found.append((MISSED, reference[i], ""))
        else:
            j -= 1
            found.append((ADDED, "", text[j]))
    return found[::-1]


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
