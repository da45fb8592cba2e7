"""The demo's training loop: small and exactly resumable."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from slt.core.errors import SltError
from slt.core.files import atomic_write

WARMUP = 0.05  # share of the steps over which the learning rate rises
SAVE_EVERY = 200  # steps

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how hard.

    Attributes:
        n_steps: updates; the learning rate rises to ``learning_rate`` and falls to zero along a cosine.
        learning_rate: its peak.
        weight_decay: AdamW's.
        seed: with the number of a step, it decides everything random in that step.
    """

    n_steps: int
    learning_rate: float
    weight_decay: float
    seed: int


def train(
    module: nn.Module,
    loss_of: Callable[[int, random.Random], tuple[Tensor, Figures]],
    training: Training,
    *,
    checkpoint: Path,
    on_step: Callable[[int, Figures], None],
) -> None:
    """Train ``module`` in place; a training that was killed goes on at its last checkpoint and ends the same.

    Args:
        module: all parameters to be trained.
        loss_of: called with the number of a step, from 0, and a generator of its own; returns loss and figures.
        training: how long and how hard.
        checkpoint: a file for the state so far; the caller removes it once the result is safe.
        on_step: called after each step with the number of steps done and the step's figures.

    Raises:
        SltError: the loss is no longer a number.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, betas=(0.9, 0.98)
    )
    first = _restore(module, optimizer, checkpoint)
    module.train()
    for step in range(first, training.n_steps):
        torch.manual_seed(training.seed + 7919 * step)
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * _rise_and_fall((step + 1) / (training.n_steps + 1))
        loss, figures = loss_of(step, random.Random(f"{training.seed}-{step}"))
        if not torch.isfinite(loss):
            raise SltError(f"the loss became {loss.item()} in step {step + 1}", fix="train again with another seed")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % SAVE_EVERY == 0:
            _save(module, optimizer, checkpoint, step + 1)
        on_step(step + 1, figures)
    module.eval()


def _rise_and_fall(done: float) -> float:
    """Return the share of the peak learning rate at ``done`` (0..1) of all steps."""
    if done < WARMUP:
        return done / WARMUP
    return 0.5 * (1.0 + math.cos(math.pi * (done - WARMUP) / (1.0 - WARMUP)))


def _save(module: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path, n_steps: int) -> None:
    with atomic_write(checkpoint) as handle:
        torch.save({"step": n_steps, "module": module.state_dict(), "optimizer": optimizer.state_dict()}, handle)


def _restore(module: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path) -> int:
    """Return the number of steps that are done already."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
