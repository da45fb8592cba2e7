"""SignHiera against timm's own forward pass on the same weights and windows: seconds, memory, largest difference.

    python benchmarks/extractor.py            # the demo's size; seconds
    python benchmarks/extractor.py --full     # the published size, random weights; minutes

timm computes padding and drops its rows afterwards; `slt` removes it first.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from timm.models.hiera import Hiera

from slt.demo.plan import EXTRACTOR
from slt.models.signhiera import SignHiera, SignHieraConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    config = SignHieraConfig() if options.full else EXTRACTOR
    torch.manual_seed(0)
    ours, theirs = make_pair(config)
    print(f"{torch.get_num_threads()} threads, float32, one window of {config.input_size}, {options.runs} pairs\n")
    print("| frames of padding | timm, s | slt, s | ratio | largest difference |")
    print("|---|---|---|---|---|")
    for padding in (0, config.input_size[0] // 4, config.input_size[0] // 2):
        print(compare(ours, theirs, padding, options.runs))
    print(f"\npeak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


@torch.inference_mode()
def compare(ours: SignHiera, theirs: Hiera, padding: int, n_runs: int) -> str:
    """Return one table row: medians over pairs of runs."""
    pixels = torch.randn(1, 3, *ours.config.input_size)
    run_slt = partial(ours, pixels, torch.tensor([padding]))
    run_timm = partial(full_window, theirs, pixels)
    seconds_slt, seconds_timm = [], []
    for _ in range(n_runs):
        seconds_timm.append(seconds(run_timm))
        seconds_slt.append(seconds(run_slt))
    ratio = statistics.median(a / b for a, b in zip(seconds_timm, seconds_slt, strict=True))
    # In timm, global attention includes padding, so only full windows must be equal.
    off = "-" if padding else f"{(run_timm() - run_slt().features).abs().max().item():.1e}"
    timm, slt = statistics.median(seconds_timm), statistics.median(seconds_slt)
    return f"| {padding} | {timm:.3f} | {slt:.3f} | {ratio:.2f} | {off} |"


def make_pair(config: SignHieraConfig) -> tuple[SignHiera, Hiera]:
    """Return our model and timm's with the same weights."""
    ours = SignHiera(config).eval()
    theirs = timm_model(config)
    mismatch = theirs.load_state_dict(ours.state_dict(), strict=False)
    if mismatch.unexpected_keys or not all(name.startswith("head") for name in mismatch.missing_keys):
        raise RuntimeError(f"timm's Hiera has other weights than expected: {mismatch}")
    return ours, theirs


def timm_model(config: SignHieraConfig) -> Hiera:
    """Return timm's model of this shape, randomly initialised."""
    shape = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return Hiera(img_size=shape.pop("input_size"), num_classes=0, **shape).eval()


def full_window(model: Hiera, pixels: torch.Tensor) -> torch.Tensor:
    """Return (1, rows per window, feature_dim), computed including padding."""
    tokens = model.reroll(model.forward_features(pixels), len(model.blocks) - 1)
    return tokens.flatten(2, 3).mean(2)


def seconds(call: Callable[[], object]) -> float:
    """Return the duration of a call in seconds."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
