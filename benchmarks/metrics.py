"""CPU time of scoring: BLEU, chrF++ and ROUGE-L with intervals; sacrebleu on a smaller corpus.

python benchmarks/metrics.py [--pairs 100000] [--resamples 1000] [--small 2000]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

NAMES = ("bleu4", "chrf++", "rouge_l")


def corpus(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return hypotheses and references of 4 to 24 words, as in How2Sign; 80 % of the words are correct."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 9))) for _ in range(8000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    references = [" ".join(rng.choices(words, weights, k=rng.randint(4, 24))) + "." for _ in range(n)]
    hypotheses = [" ".join(word for word in text.split() if rng.random() < 0.8) for text in references]
    return hypotheses, references


def timed(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def ours(hypotheses: list[str], references: list[str], resamples: int) -> list[tuple[str, float]]:
    from slt.evaluate.bootstrap import Resampling
    from slt.evaluate.text_metrics import Pairs, metrics_for, score_statistics

    pairs = Pairs(hypotheses, references)
    rows, made = [], []
    for metric in metrics_for("eng_Latn", NAMES):
        seconds, statistics = timed(lambda metric=metric: metric.statistics(pairs))
        rows.append((f"{metric.label}: counts", seconds))
        made.append((metric, statistics))
    seconds, _ = timed(lambda: score_statistics(made, Resampling(resamples=resamples)))
    return [*rows, (f"intervals of all three, {resamples} resamples", seconds)]


def theirs(hypotheses: list[str], references: list[str], resamples: int) -> list[tuple[str, float]]:
    import sacrebleu

    rows = []
    for name, metric in (("BLEU", sacrebleu.BLEU()), ("chrF++", sacrebleu.CHRF(word_order=2))):
        seconds, _ = timed(lambda metric=metric: metric.corpus_score(hypotheses, [references]))
        rows.append((f"{name}: score", seconds))
        both, _ = timed(lambda metric=metric: metric.corpus_score(hypotheses, [references], n_bootstrap=resamples))
        rows.append((f"{name}: interval, {resamples} resamples", both - seconds))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--small", type=int, default=2000)
    options = parser.parse_args()
    print(f"{'pairs':>8}  {'what':<44}{'CPU, s':>9}")
    totals = {}
    small = options.small
    for who, work, n in (("slt", ours, small), ("sacrebleu", theirs, small), ("slt", ours, options.pairs)):
        rows = work(*corpus(n), options.resamples)
        totals[who, n] = sum(seconds for _, seconds in rows)
        for what, seconds in [*rows, ("all", totals[who, n])]:
            print(f"{n:8}  {who + ', ' + what:<44}{seconds:9.2f}")
    ratio = totals["sacrebleu", small] / totals["slt", small]
    print(f"on {small} pairs sacrebleu takes {ratio:.1f} times as long for BLEU and chrF++ as slt for all three")


if __name__ == "__main__":
    main()
