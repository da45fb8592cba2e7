"""Effect of reranking several readings on translation quality, and calibration of the agreement.

Noisy synthetic videos, demo model: Gaussian noise on pixels, and frozen frames in up to a quarter of the clip. Prints
BLEU and exact matches without and with --rerank; how well score and agreement separate correct from wrong texts (area
under the ROC curve); and the logistic calibration of the agreement for the card, fitted on every other clip and
evaluated on the rest.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slt.core import log
from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_video
from slt.demo.score import score_texts
from slt.pipeline.translator import Translator
from slt.text.decoder import Hypothesis

LANG = "eng_Latn"
LEVELS = (0.0, 0.2, 0.3, 0.45, 0.6)  # noise; standard deviation in units of 60 grey levels


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Translations of one noisy clip without and with reranking."""

    level: float
    reference: str
    once: Hypothesis
    again: Hypothesis

    @property
    def right(self) -> bool:
        """Whether the reranked text equals the reference."""
        return self.again.text == self.reference


def degrade(frames: NDArray[np.uint8], level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    noisy = frames + rng.normal(0, 60 * level, frames.shape)
    for _ in range(int(rng.integers(0, 1 + int(3 * level) + (level > 0)))):
        segment = int(len(frames) * rng.uniform(0.05, 0.15))
        start = int(rng.integers(0, len(frames) - segment))
        noisy[start : start + segment] = noisy[start]
    return noisy.clip(0, 255).astype(np.uint8)


def translate_clips(n_clips: int, seed: int) -> list[Reading]:
    translator, rng, readings = Translator("demo"), np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as folder, log.bars() as bars:
        for number, clip in enumerate(plan_corpus({"test": n_clips}, seed)):
            level, video = LEVELS[number % len(LEVELS)], Path(folder) / "clip.mp4"
            write_video(video, degrade(draw_clip(clip)[0], level, rng))
            once, again = (translator.translate(video, [LANG], rerank=rerank) for rerank in (False, True))
            readings.append(
                Reading(level=level, reference=clip.text(LANG), once=once.texts[LANG][0], again=again.texts[LANG][0])
            )
            bars.update("clips", number + 1, n_clips)
    return readings


def area_under_curve(values: list[float], right: list[bool]) -> float:
    """Return the probability that a correct text has the larger value; ties count half."""
    good, bad = (np.array([v for v, r in zip(values, right, strict=True) if r == which]) for which in (True, False))
    return float(((good[:, None] > bad).mean() + (good[:, None] >= bad).mean()) / 2)


def fit(agreements: list[float], right: list[bool]) -> tuple[float, float]:
    x, y = torch.tensor(agreements, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    centre, spread = x.mean(), x.std()
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = weights[0] * (x - centre) / spread + weights[1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
        loss.backward()
        return loss

    optimiser.step(closure)
    slope = float(weights[0].detach() / spread)
    return slope, float(weights[1].detach()) - slope * float(centre)


def calibration_error(chances: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over ten bins of equal size."""
    bins = np.array_split(chances.argsort(), 10)
    return float(sum(abs(chances[one].mean() - right[one].mean()) * len(one) for one in bins) / len(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2024)
    arguments = parser.parse_args()
    readings = translate_clips(arguments.clips, arguments.seed)
    print("| noise | clips | once: BLEU | right | --rerank: BLEU | right |\n|---|---|---|---|---|---|")
    for level in (*LEVELS, None):
        some = [one for one in readings if level in (None, one.level)]
        references = [one.reference for one in some]
        once, again = (score_texts([getattr(one, way).text for one in some], references) for way in ("once", "again"))
        name = "all" if level is None else f"{60 * level:.0f}"
        print(f"| {name} | {len(some)} | {once.bleu:.1f} | {once.exact:.1%} | {again.bleu:.1f} | {again.exact:.1%} |")
    right = [one.right for one in readings]
    agreements = [one.again.agreement or 0.0 for one in readings]
    print(f"\nAUROC of the score: {area_under_curve([one.again.score for one in readings], right):.3f}")
    print(f"AUROC of the agreement, and so of the confidence: {area_under_curve(agreements, right):.3f}")
    slope, bias = fit(agreements[::2], right[::2])
    chances = 1 / (1 + np.exp(-(slope * np.array(agreements[1::2]) + bias)))
    error = calibration_error(chances, np.array(right[1::2]))
    print(f"fitted on half of the clips: slope {slope:.2f}, bias {bias:.2f}; calibration error on the rest {error:.3f}")


if __name__ == "__main__":
    main()
