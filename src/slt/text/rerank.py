"""Rerank the texts of several readings of one clip, and estimate their confidence.

With one embedding, no weighting of agreement, score and consensus ranked texts better than the beam search itself on
noisy synthetic videos (benchmarks/README.md); several embeddings of the same clip do. A feature covers two of every
second frame, so extraction can start at the first, second, third or fourth frame. These readings contain the same
signing in different frames, and noise rarely affects all of them alike.
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

READINGS = 4  # frames per feature: each reading starts at a different frame
AGREEMENT_WEIGHT = 5.0  # relative to the mean log-probability; best of 0, 1 and 5 on noisy synthetic videos


class TextScorer(Protocol):
    """Scores texts: a text decoder with its text encoder, such as ``SonarTextModel``."""

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return the (B, D) embeddings of texts in ``lang``."""
        ...

    def log_likelihoods(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B,) mean log-probability of each text's tokens, given its embedding."""
        ...


def rerank(
    scorer: TextScorer,
    readings: Tensor,
    hypotheses: Sequence[Hypothesis],
    lang: str,
    *,
    calibration: ConfidenceCard | None = None,
) -> list[Hypothesis]:
    """Rank the texts of several readings of one clip by their fit to all readings.

    The fit is the mean over readings of the text's mean log-probability plus ``AGREEMENT_WEIGHT`` times the cosine
    between the reading and the text's embedding.

    Args:
        scorer: computes embeddings and likelihoods of texts.
        readings: (V, D) float, one sentence embedding per reading.
        hypotheses: texts of all readings in one language; duplicates count once.
        lang: that language.
        calibration: logistic calibration of the model's agreement; None: not calibrated.

    Returns:
        Each text once, best first, with its mean log-probability as ``score``, agreement and confidence.
    """
    by_text = {one.text: one for one in reversed(hypotheses)}
    texts = list(by_text)
    n_texts, n_readings = len(texts), len(readings)
    rows = readings.repeat_interleave(n_texts, dim=0)  # (V * T, D)
    scores = scorer.log_likelihoods(rows, texts * n_readings, [lang] * len(rows)).view(n_readings, n_texts).mean(0)
    meanings = scorer.embed(texts, lang).float().cpu()  # (T, D)
    agreements = F.cosine_similarity(readings.float().cpu()[:, None], meanings[None], dim=-1).mean(0)  # (T,)
    fit = scores + AGREEMENT_WEIGHT * agreements
    return [
        replace(
            by_text[texts[i]],
            score=float(scores[i]),
            agreement=float(agreements[i]),
            confidence=confidence(float(agreements[i]), calibration),
        )
        for i in fit.argsort(descending=True, stable=True).tolist()
    ]


def confidence(agreement: float, calibration: ConfidenceCard | None) -> float:
    """Return the probability that the text is correct if calibrated, otherwise the agreement clipped to 0..1.

    Args:
        agreement: cosine between a text's embedding and the clip's.
        calibration: of the model; None: not calibrated.
    """
    if calibration is None:
        return min(max(agreement, 0.0), 1.0)
    return 1 / (1 + math.exp(-(calibration.slope * agreement + calibration.bias)))
