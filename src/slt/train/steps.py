"""Train any module by the loss of each step, with Lightning's loop: exactly resumable, without a recipe."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slt.core.errors import SltError
from slt.recipe.trainer import Optim
from slt.train.lightning import Callback, LightningModule, Trainer
from slt.train.loop import lone_trainer, quiet
from slt.train.module import SEED_STEP
from slt.train.optim import make_optimizer, parameter_groups, share_of_peak

WARMUP = 0.05  # share of the steps over which the learning rate rises
SAVE_EVERY = 200  # steps

Figures = dict[str, float]
LossOf = Callable[[int, random.Random], tuple[Tensor, Figures]]
"""(number of a step, from 0; a generator of its own) to its loss and figures."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Length and strength of a training.

    Attributes:
        n_steps: updates; the learning rate rises to ``learning_rate`` and falls to zero along a cosine.
        learning_rate: its peak.
        weight_decay: AdamW's, of matrices.
        seed: with the number of a step, it decides everything random in that step.
    """

    n_steps: int
    learning_rate: float
    weight_decay: float
    seed: int

    @property
    def optim(self) -> Optim:
        """The same as part of a recipe."""
        warmup_steps = int(WARMUP * self.n_steps)
        return Optim(lr=self.learning_rate, weight_decay=self.weight_decay, warmup_steps=warmup_steps)


def train_steps(
    module: nn.Module, loss_of: LossOf, steps: Steps, *, checkpoint: Path, on_step: Callable[[int, Figures], None]
) -> None:
    """Train ``module`` in place on the CPU; a training that was killed resumes and ends the same.

    Args:
        module: all parameters to be trained.
        loss_of: computes the loss of one step.
        steps: length and strength.
        checkpoint: file of the state so far; the caller removes it once the result is safe.
        on_step: called after each step with the number of steps done and the step's figures.

    Raises:
        SltError: the loss is no longer a number.
    """
    trained = _Stepwise(module, loss_of, steps)
    module.train()
    with quiet():
        trainer = lone_trainer(
            accelerator="cpu",
            max_steps=steps.n_steps,
            gradient_clip_val=steps.optim.clip_norm,
            callbacks=[_Save(checkpoint, on_step)],
            default_root_dir=checkpoint.parent,
        )
        # An epoch is what lies between two checkpoints; the number of a step is all that a batch is.
        resume = checkpoint if checkpoint.exists() else None
        trainer.fit(trained, range(SAVE_EVERY), ckpt_path=resume, weights_only=True)
    module.eval()


class _Stepwise(LightningModule):
    """A module whose loss depends on the number of the step alone."""

    def __init__(self, module: nn.Module, loss_of: LossOf, steps: Steps) -> None:
        super().__init__()
        self.trained = module
        self.figures: Figures = {}
        self._loss_of, self._steps, self._optim = loss_of, steps, steps.optim

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(parameter_groups(self, self._optim, ()), self._optim)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        torch.manual_seed(self._steps.seed + SEED_STEP * self.global_step)
        share = share_of_peak(self.global_step, self._steps.n_steps, self._optim)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = share * self._optim.lr

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        step = self.global_step
        loss, self.figures = self._loss_of(step, random.Random(f"{self._steps.seed}-{step}"))
        if not torch.isfinite(loss):
            raise SltError(f"the loss became {loss.item()} in step {step + 1}", fix="train again with another seed")
        return loss


class _Save(Callback):
    """Reports each step, and keeps the state to resume from."""

    def __init__(self, checkpoint: Path, on_step: Callable[[int, Figures], None]) -> None:
        self._checkpoint, self._on_step = checkpoint, on_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: int, batch_idx: int
    ) -> None:
        self._on_step(trainer.global_step, pl_module.figures)  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self._checkpoint)
