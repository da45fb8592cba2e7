"""``--dry-run``: describe a recipe's run, and estimate its duration from a few measured steps."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from slt.core import log
from slt.core.device import choose_device, free_bytes, is_accelerator, peak_bytes, synchronise
from slt.recipe.load import to_yaml
from slt.recipe.schema import Recipe
from slt.train.loader import Batch
from slt.train.loop import check_machine, quiet, world
from slt.train.memory import StepMemory, step_memory
from slt.train.module import Training, total_loss
from slt.train.optim import make_optimizer
from slt.train.prepare import Prepared, prepare, train_loader
from slt.train.run import build_module, explained, ways_to_save_memory
from slt.train.targets import Targets, TextSpace

N_STEPS = 3
OF_CUDA = 10**9  # bytes of CUDA's context, of libraries, and of gaps between blocks; an estimate


def dry_run(recipe: Recipe) -> None:
    """Print the recipe, the parameter groups, the steps, and estimates of memory and time; nothing is written.

    Raises:
        UserError: as training itself would.
        SltError: memory ran out.
    """
    check_machine(recipe, computes=False)
    log.result(to_yaml(recipe).rstrip())
    with quiet():
        prepared = prepare(recipe, random_targets, processes=world().processes)
    module = build_module(recipe, prepared)
    log.result("")
    for line in (*_groups(module), *_sizes(recipe, prepared), *_costs(recipe, prepared, module)):
        log.result(line)


def random_targets(texts: Iterable[tuple[str, str]], space: TextSpace) -> Targets:
    """Return embeddings that cost nothing to make and are as wide as real ones."""
    rows = {pair: row for row, pair in enumerate(texts)}
    table = np.random.default_rng(0).standard_normal((len(rows), space.dim), np.float32)
    return Targets(table=table, rows=rows)


def _groups(module: Training) -> Iterable[str]:
    yield "parameter groups:"
    for group in module.groups:
        yield f"  {group.name}: {group.n_numbers:,} numbers, lr {group.lr:.3g}, weight decay {group.weight_decay:g}"
    total = sum(weight.numel() for weight in module.parameters())
    trained = sum(group.n_numbers for group in module.groups)
    yield f"  trained: {trained:,} of {total:,} numbers"


def _sizes(recipe: Recipe, prepared: Prepared) -> Iterable[str]:
    yield (
        f"{len(prepared.train.examples)} clips in {prepared.batches.per_epoch} batches, "
        f"{100 * prepared.batches.padding():.1f} % padding; "
        f"{prepared.n_steps} updates in {_epochs(recipe, prepared):.3g} epochs"
    )


def _epochs(recipe: Recipe, prepared: Prepared) -> float:
    """Return how often every clip will be seen: less than asked for where updates are limited."""
    return min(recipe.trainer.epochs, prepared.n_steps * recipe.optim.accumulate / prepared.batches.per_epoch)


def _costs(recipe: Recipe, prepared: Prepared, module: Training) -> Iterable[str]:
    """Compute the memory of the largest batch of the first epoch, take a few real steps on it, and scale their time."""
    device = choose_device(recipe.trainer.device)
    loader = train_loader(recipe, prepared, (0, 1))
    lengths = prepared.batches.lengths
    batches = prepared.batches.epoch(0)
    sizes = [(len(batch) * longest, longest) for batch in batches for longest in [max(lengths[i] for i in batch)]]
    largest = batches[max(range(len(sizes)), key=sizes.__getitem__)]
    batch = loader.dataset[(0, tuple(largest), len(largest))]
    module.train()
    yield from _memory(recipe, step_memory(module, batch), batch, free_bytes(device))
    if recipe.trainer.precision == "fp16" and not is_accelerator(device):
        yield "time: not measured, since precision fp16 needs a GPU, and torch sees none here"
        return
    batch = batch.to(device)
    module.to(device)
    module.batch = batch
    with explained(module):
        seconds = _seconds_per_step(module, batch)
    yield f"memory: {log.size(_peak(device))} in all at the peak of such steps, measured"
    rows = [size for size, _ in sizes]
    whole = seconds * sum(rows) / max(rows) * _epochs(recipe, prepared)
    yield (
        f"time: {log.seconds(seconds)} for that batch on this {device.type}, so about {log.span(whole)} of training, "
        "without validation"
    )


def _memory(recipe: Recipe, found: StepMemory | None, batch: Batch, free: int | None) -> Iterable[str]:
    """Yield what a step was computed to take; and what to change where the device has less."""
    if found is None:
        yield "memory: not computed, since what this step takes depends on values (a decoder of transformers, videos)"
        return
    yield (
        f"memory: {log.size(found.weights)} of weights, {log.size(found.state)} of gradients and averages, "
        f"{log.size(found.peak)} in all at the peak of a step of {batch.shape}, computed; "
        f"a GPU needs about {log.size(OF_CUDA)} more for CUDA"
    )
    if free is not None and found.peak + OF_CUDA > free:
        log.warn(f"this GPU has {log.size(free)} free; " + "; or ".join(ways_to_save_memory(recipe)))


def _seconds_per_step(module: Training, batch: Batch) -> float:
    optimizer = make_optimizer(module.groups, module.recipe.optim)
    times = []
    for _ in range(N_STEPS):
        begun = time.perf_counter()
        with module.arithmetic(batch.targets.device):
            _, terms = module.terms(batch)
        total_loss(terms).backward()
        clip_grad_norm_(module.trained_weights().values(), module.recipe.optim.clip_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        synchronise(batch.targets.device)
        times.append(time.perf_counter() - begun)
    return min(times)


def _peak(device: torch.device) -> int:
    if peak := peak_bytes(device):
        return peak
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
