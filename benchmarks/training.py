"""Training steps of the sign encoder: speed, memory, fraction of the measured peak of matrix products.

    python benchmarks/training.py                  # the demo's size; one minute
    python benchmarks/training.py --full           # the published size (752 M parameters, random weights): 13 GB
    python benchmarks/training.py --full --device cuda --precision bf16 --rows 16384

Each row runs in a separate process, to measure its peak memory. Lengths follow How2Sign; a step is forward, backward,
clipping and AdamW on the mean squared error. "unsorted" batches the same clips without sorting by length. "packed"
concatenates the clips of each sorted batch into rows twice as long as the longest clip, with attention restricted to
each clip, so only the ends of rows are padded.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from slt.core.tensors import FeatureBatch
from slt.demo.plan import ENCODER
from slt.models.config import SonarT5Config
from slt.models.sonar_t5 import SonarT5
from slt.train.batches import Batches
from slt.train.parts import recompute

VARIANTS = ("plain", "checkpointing", "compile", "unsorted", "packed")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=DTYPES)
    parser.add_argument("--rows", type=int, default=2048, help="time steps per batch")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--only", choices=VARIANTS, help="measure one variant, print JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    peak = matmul_peak(options.device, DTYPES[options.precision])
    print(f"{options.device}, {torch.get_num_threads()} threads, {options.precision}; peak {peak / 1e12:.3f} TFLOP/s\n")
    print("| steps | time steps/s | clips/s | padding | peak memory, GiB | of the matmul peak |")
    print("|---|---|---|---|---|---|")
    for variant in options.variants:
        done = subprocess.run([sys.executable, *sys.argv, "--only", variant], capture_output=True, text=True)
        if done.returncode:
            print(f"| {variant} | {done.stderr.strip().splitlines()[-1]} | | | | |")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {variant} | {found['rows']:.0f} | {found['clips']:.3g} | {found['padding']:.1%} | "
            f"{found['memory']:.2f} | {found['flops'] / peak:.1%} |"
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    config = SonarT5Config() if options.full else ENCODER
    torch.manual_seed(0)
    model = SonarT5(config).to(options.device)
    if options.only == "checkpointing":
        recompute(model)
    if options.only == "compile":
        model.compile(dynamic=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    lengths = like_how2sign(4000)
    batches = unsorted(lengths, options.rows) if options.only == "unsorted" else sorted_batches(lengths, options.rows)
    chosen = batches[:: max(1, len(batches) // (options.steps + 1))][: options.steps + 1]
    step(model, optimizer, chosen[0], lengths, config, options)  # warm-up: AdamW state, compilation
    begun = time.perf_counter()
    for batch in chosen[1:]:
        step(model, optimizer, batch, lengths, config, options)
    seconds = time.perf_counter() - begun
    rows = sum(lengths[i] for batch in chosen[1:] for i in batch)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in chosen[1:])
    clips = sum(map(len, chosen[1:]))
    reading = sum(w.numel() for name, w in model.encoder.named_parameters() if w.ndim == 2 and "embed" not in name)
    pooling = sum(w.numel() for w in model.decoder.block.parameters() if w.ndim == 2)
    return {
        "rows": rows / seconds,
        "step": seconds / (len(chosen) - 1),
        "clips": clips / seconds,
        "padding": 1 - rows / padded,
        "memory": peak_memory(options.device),
        "flops": 6 * (reading * rows + pooling * clips) / seconds,  # of real time steps, without padding
    }


def step(model, optimizer, batch, lengths, config, options) -> None:
    clips = [torch.randn(lengths[i], config.feature_dim) for i in batch]
    features = FeatureBatch.of(clips).to(torch.device(options.device))
    with torch.autocast(options.device, DTYPES[options.precision], enabled=options.precision != "fp32"):
        embed = packed if options.only == "packed" else plain
        embed(model, features).float().square().mean().backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if options.device != "cpu":
        torch.cuda.synchronize()


def plain(model: SonarT5, batch: FeatureBatch) -> torch.Tensor:
    return model(batch).sentence


def packed(model: SonarT5, batch: FeatureBatch) -> torch.Tensor:
    """Return the (B, D) embeddings of ``plain``, with rows of several clips in the encoder."""
    clips, lengths = batch.clips(), batch.lengths.tolist()
    rows = fill_rows(lengths, room=2 * max(lengths))
    reading = FeatureBatch.of([torch.cat([clips[i] for i in row]) for row in rows])
    owner = torch.full(reading.features.shape[:2], -1, device=reading.features.device)  # clip index of each time step
    for number, row in enumerate(rows):
        owner[number, : sum(lengths[i] for i in row)] = torch.repeat_interleave(
            torch.tensor(row, device=owner.device), torch.tensor([lengths[i] for i in row], device=owner.device)
        )
    others = owner[:, None, :, None] != owner[:, None, None, :]
    bias = torch.zeros(others.shape, device=owner.device).masked_fill(others, -torch.inf)
    states = model.encoder.feature_projection(reading.features)  # distances within a clip do not change
    for block in model.encoder.block:
        states, bias = block(states, bias)
    states = model.encoder.dropout(model.encoder.final_layer_norm(states))
    order = [i for row in rows for i in row]
    parts = dict(zip(order, states[owner >= 0].split([lengths[i] for i in order]), strict=True))
    back = FeatureBatch.of([parts[i] for i in range(len(clips))])
    query = torch.zeros(len(clips), 1, dtype=torch.long, device=owner.device)
    pooled = model.decoder(query, memory=back.features, memory_mask=back.mask.to(owner.device))
    return model.projection_out(pooled).squeeze(1)


def fill_rows(lengths: list[int], room: int) -> list[list[int]]:
    """Return clip indices per row: first-fit, longest first."""
    rows: list[list[int]] = []
    left: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = next((number for number, space in enumerate(left) if space >= lengths[i]), len(rows))
        if place == len(rows):
            rows.append([])
            left.append(room)
        rows[place].append(i)
        left[place] -= lengths[i]
    return rows


def like_how2sign(n_clips: int) -> list[int]:
    """Return lengths in features (12.5 per second): mean about 6.6 s, at most 46 s."""
    seconds = np.clip(np.random.default_rng(0).lognormal(np.log(5.2), 0.7, n_clips), 0.3, 46)
    return np.maximum(1, (seconds * 12.5).astype(int)).tolist()


def sorted_batches(lengths: list[int], rows: int) -> list[list[int]]:
    return Batches(lengths=lengths, rows=rows, clips=256).epoch(0)


def unsorted(lengths: list[int], rows: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for i in range(len(lengths)):
        grown = [*batches[-1], i]
        if batches[-1] and len(grown) * max(lengths[j] for j in grown) > rows:
            batches.append([i])
        else:
            batches[-1] = grown
    return batches


def matmul_peak(device: str, dtype: torch.dtype, n: int | None = None) -> float:
    """Return the best FLOP/s of a product of two square matrices of ``n`` rows on this machine."""
    n = n or (2048 if device == "cpu" else 8192)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        begun = time.perf_counter()
        a @ b
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2 * n**3 / best


def peak_memory(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
