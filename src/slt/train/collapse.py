"""Detect collapse: a model that predicts nearly the same output for every clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST = 10  # clips below which nothing can be said
COLLAPSED = 0.02  # of the targets' variance
REPEATED = 0.5  # share of the clips with one and the same text


def spread(predicted: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Return the variance of (N, D) predictions over that of their targets: 0 is one and the same for all."""
    variance = float(targets.var(0, dtype=np.float64).mean())
    return float(predicted.var(0, dtype=np.float64).mean()) / max(variance, 1e-12)


def constant_embeddings(figures: dict[str, float], n_clips: int) -> Iterator[str]:
    """Describe what in a validation's figures shows embeddings that do not depend on the clip."""
    if n_clips < FEWEST:
        return
    if figures["spread"] < COLLAPSED:
        yield f"the embeddings hardly differ: {100 * figures['spread']:.2g} % of the targets' variance"
    if figures["recall@1"] <= 100 * 2 / n_clips:
        yield (
            f"the right sentence is found for {figures['recall@1']:.1f} % of the clips; "
            f"guessing finds {100 / n_clips:.1f} %"
        )


def constant_texts(texts: Sequence[str], references: Sequence[str]) -> Iterator[str]:
    """Describe when translations repeat one text far more often than the references do."""
    if len(texts) < FEWEST:
        return
    text, times = Counter(texts).most_common(1)[0]
    usual = Counter(references).most_common(1)[0][1]
    if times > REPEATED * len(texts) and times > 2 * usual:
        yield f"{times} of {len(texts)} clips are translated as {text!r:.80}"
