"""Train a sign encoder from scratch on the synthetic language, and evaluate it on unseen sentences.

    python benchmarks/learning.py --out learning                       # 1,500 clips, 30 epochs: 15 minutes
    python benchmarks/learning.py --out learning --clips 300 --epochs 2     # quick check

Runs the commands of docs/training.md, which resume after an interruption. The sign encoder is randomly initialised;
extractor and text decoder are those of the demo, frozen. Scores are of the test split, whose sentences and signers are
in no other split; the best weights are chosen on a separate validation split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from slt.core.runs import Run
from slt.train.loggers import read_figures

SPLITS = ("train", "val", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    slt(options, "prepare", "synthetic", "--out", "corpus", "--clips", str(options.clips))
    for split in SPLITS:
        slt(options, "extract-features", f"corpus/{split}.tsv", "--model", "demo", "--out", f"features/{split}")
    words = [f"trainer.epochs={options.epochs}", "trainer.validate_every=5", "trainer.text_every=1"]
    slt(options, "train-encoder", "synthetic", *(word for key in words for word in ("--set", key)), "--out", "run")
    score = ("--manifest", "corpus/test.tsv", "--features", "features/test", "--train", "corpus/train.tsv")
    slt(options, "evaluate", "--model", "run", *score, "--controls", "--out", "scores")
    print_tables(Run(folder=options.out / "run"), json.loads((options.out / "scores" / "results.json").read_text()))


def slt(options: argparse.Namespace, *words: str) -> None:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "slt_cli.main", *words], cwd=options.out, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(done.returncode)
    print(f"slt {' '.join(words)}: {time.monotonic() - begun:.0f} s", flush=True)


def print_tables(run: Run, scores: dict) -> None:
    outcome = json.loads(run.outcome.read_text())
    print(f"\ntrained {outcome['seconds']:.0f} s; waited {outcome['wait']:.1%}; padding {outcome['padding']:.1%}\n")
    print("| validation after epoch | recall@1 | cosine | BLEU of 100 clips |\n|---|---|---|---|")
    rows: dict[str, dict[str, float]] = {}
    for row in read_figures(run.metrics):
        rows.setdefault(row["epoch"], {})[row["figure"]] = float(row["value"])
    for epoch, found in rows.items():
        if "val/bleu" in found:
            cells = f"{found['val/recall@1']:.1f} | {found['val/cosine']:.3f} | {found['val/bleu']:.1f}"
            print(f"| {float(epoch):.0f} | {cells} |")
    print("\n| test | score | 95 % |\n|---|---|---|")
    for name in ("bleu4", "recall@1"):
        (found,) = (one for one in scores["scores"] if one["name"] == name)
        print(f"| {name} | {found['value']:.1f} | {found['low']:.1f} to {found['high']:.1f} |")
    right = [one["hypothesis"] == one["reference"] for one in scores["sentences"]]
    print(f"| to the letter | {100 * sum(right) / len(right):.1f} | |")
    for control in scores["controls"]:
        (bleu,) = (one for one in control["scores"] if one["name"] == "bleu4")
        print(f"| bleu4, {control['name']} | {bleu['value']:.1f} | {bleu['low']:.1f} to {bleu['high']:.1f} |")


if __name__ == "__main__":
    main()
