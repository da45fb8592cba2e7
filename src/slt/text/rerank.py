"""Rerank the texts of several readings of one clip, and estimate their confidence.

One embedding alone holds nothing by which its texts could be ranked better than by the search that found them: on
noisy drawn signing no weight of agreement, score and consensus did (benchmarks/README.md). A second look at the video
does. Features are made of every second frame, two of them to a row, so the clip can be read anew from its second,
third and fourth frame on: the same signing, other frames. Where noise bent one reading, it seldom bent the others the
same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

from slt.assets.cards import ConfidenceCard
from slt.text.decoder import Hypothesis

READINGS = 4  # raw frames to a row of features: each reading begins with another one
AGREEMENT_WEIGHT = 5.0  # beside the mean log-probability; of 0, 1 and 5, the best on noisy drawn signing


class TextScorer(Protocol):
    """What reads texts back: a text decoder that came with its text encoder, as ``SonarText`` does."""

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return the (B, D) embeddings of texts, all in ``lang``."""
        ...

    def log_likelihoods(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B,) mean log-probability of each text's tokens, given its embedding."""
        ...


def rerank(
    judge: TextScorer,
    readings: Tensor,
    hypotheses: Sequence[Hypothesis],
    lang: str,
    *,
    calibration: ConfidenceCard | None = None,
) -> list[Hypothesis]:
    """Order the texts that several readings of one clip gave, by how well each fits all readings.

    A text's fit is its mean log-probability under each reading, plus ``AGREEMENT_WEIGHT`` times the cosine between
    the reading and the text's own embedding, on average over the readings.

    Args:
        judge: reads texts back.
        readings: (V, D) float, one sentence embedding per reading.
        hypotheses: the texts of all readings, in one language; equal ones count once.
        lang: that language.
        calibration: how the model's agreement relates to being right, where that was measured.

    Returns:
        Each text once, best first, with its mean log-probability as ``score``, its agreement and its confidence.
    """
    known = {one.text: one for one in reversed(hypotheses)}
    texts = list(known)
    n_texts, n_readings = len(texts), len(readings)
    rows = readings.repeat_interleave(n_texts, dim=0)  # (V * T, D)
    scores = judge.log_likelihoods(rows, texts * n_readings, [lang] * len(rows)).view(n_readings, n_texts).mean(0)
    meanings = judge.embed(texts, lang).float().cpu()  # (T, D)
    agreements = F.cosine_similarity(readings.float().cpu()[:, None], meanings[None], dim=-1).mean(0)  # (T,)
    fit = scores + AGREEMENT_WEIGHT * agreements
    return [
        replace(
            known[texts[i]],
            score=float(scores[i]),
            agreement=float(agreements[i]),
            confidence=confidence(float(agreements[i]), calibration),
        )
        for i in fit.argsort(descending=True, stable=True).tolist()
    ]


def confidence(agreement: float, calibration: ConfidenceCard | None) -> float:
    """Return 0..1: where it was calibrated, the chance that the text is right; else the agreement, negative ones as 0.

    Args:
        agreement: cosine between a text's embedding and the clip's.
        calibration: of the model.
    """
    if calibration is None:
        return min(max(agreement, 0.0), 1.0)
    return 1 / (1 + math.exp(-(calibration.slope * agreement + calibration.bias)))
