"""Lightning callbacks: validation, best weights, checkpoints, stopping and resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.runs import Run
from slt.core.signals import StopRequests, stop_requests
from slt.models.checkpoint import read_weights, save_weights
from slt.recipe.trainer import BEST_IS_LEAST
from slt.train.distributed import summed
from slt.train.lightning import Callback, LightningModule, Trainer
from slt.train.loader import Batch, Loader
from slt.train.loggers import Curves, draw_curves
from slt.train.module import Training
from slt.train.sharding import put_together, share_of, whole
from slt.train.validation import Validation

DRAWN_EVERY_S = 30.0
BEST = "best-{}.safetensors"  # by the update they are of


class Keep(Callback):
    """Keeps the state to go on from: every so often, at the end of each interval, and when asked to stop."""

    def __init__(self, run: Run, loader: Loader, judge: Judge, *, every_s: float) -> None:
        self.run, self.loader, self.judge, self.every_s = run, loader, judge, every_s
        self._saved_at = time.monotonic()
        self._listening: Any = None
        self._stop: StopRequests | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for requests to stop; later than Lightning does, whose own answer is to raise at once."""
        self._listening = stop_requests()
        self._stop = self._listening.__enter__()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the batch; save after an update when it is time to, but leave a interval's last batch to its end."""
        module: Training = pl_module  # type: ignore[assignment]
        module.n_batches += 1
        self.loader.positions.position = module.n_batches
        in_the_middle = module._clips > 0 or module.n_batches % len(self.loader) == 0
        if in_the_middle:
            return
        stops, is_due = self._agree(module)
        if stops or is_due:
            self._save(trainer, stops=stops)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        stops, _ = self._agree(pl_module)
        self._save(trainer, stops=stops)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen no longer."""
        if self._listening is not None:
            self._listening.__exit__(None, None, None)
            self._listening = None

    def _save(self, trainer: Trainer, *, stops: bool) -> None:
        trainer.save_checkpoint(self.run.last)
        if trainer.is_global_zero:
            self.judge.tidy()
        self._saved_at = time.monotonic()
        if stops and self._stop is not None and not trainer.should_stop:
            self._stop.check()
            raise SltError("another process was asked to stop")

    def _agree(self, module: LightningModule) -> tuple[bool, bool]:
        """Return whether any process was asked to stop, and whether it is time to save by the clock of any.

        All processes must save together, and no two clocks are the same.
        """
        asked = self._stop is not None and self._stop.requested
        is_due = time.monotonic() - self._saved_at > self.every_s
        stops, due = summed(torch.tensor([float(asked), float(is_due)], device=module.device)).tolist()
        return stops > 0, due > 0


def steps_done(checkpoint: Path, processes: int) -> int:
    """Return the updates that a run has done.

    Raises:
        UserError: so many processes cannot go on with it: its batches were made for another number.
    """
    state = torch.load(checkpoint, weights_only=True, mmap=True)
    if state["n_processes"] != processes:
        raise UserError(
            f"this run was started by {state['n_processes']} processes, found {processes}",
            fix="use as many, or start another run: --out DIR",
        )
    return int(state["global_step"])


class Judge(Callback):
    """Validates after intervals and at the end, keeps the best weights, and ends training that gets no better."""

    def __init__(
        self,
        run: Run,
        validate: Callable[[Training, int], Validation],
        *,
        every: int,
        curves: Curves | None,
        ema: Ema | None,
    ) -> None:
        self.run, self.validate, self.every, self.curves, self.ema = run, validate, every, curves, ema
        self.n_intervals = self.n_validations = self.n_worse = 0
        self.best: list[tuple[float, str]] = []
        self.last: Validation | None = None
        self.ended_early = False
        self._drawn_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train no more where a run had ended early, and was killed before it was finished."""
        self._end_early(trainer, pl_module)  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate."""
        module: Training = pl_module  # type: ignore[assignment]
        self.n_intervals += 1
        if self.n_intervals % self.every and trainer.global_step < trainer.max_steps:  # after the last step in any case
            return
        if self.ema:
            self.ema.swap(module)
        with trainer.precision_plugin.val_step_context(), put_together(module):
            found = self.last = self.validate(module, self.n_validations)
        self.n_validations += 1
        if self.curves:
            figures = {f"val/{name}": value for name, value in found.figures.items()}
            self.curves.note(figures, step=trainer.global_step, epoch=module.epoch)
            if time.monotonic() - self._drawn_at > DRAWN_EVERY_S:
                draw_curves(self.run)
                self._drawn_at = time.monotonic()
            tell(found, f"validation after {module.epoch:.4g} epochs", module.recipe.trainer.samples)
        self._keep_best(trainer, module, found)
        if self.ema:
            self.ema.swap(module)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint; its key ``n_stretches`` is that of earlier runs."""
        names = ("n_validations", "n_worse", "best")
        return {"n_stretches": self.n_intervals, **{name: getattr(self, name) for name in names}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of ``state_dict``."""
        self.n_intervals = state_dict["n_stretches"]
        self.n_validations, self.n_worse = state_dict["n_validations"], state_dict["n_worse"]
        self.best = [(value, name) for value, name in state_dict["best"]]

    def best_weights(self) -> dict[str, Tensor]:
        """Return the best weights.

        Raises:
            SltError: there are none.
        """
        if not self.best:
            raise SltError("no validation took place, so there are no best weights")
        return read_weights(self.run.checkpoints / self.best[0][1])

    def tidy(self) -> None:
        """Remove weights that are no longer among the best; once no checkpoint goes on from them."""
        names = {name for _, name in self.best}
        for path in self.run.checkpoints.glob(BEST.format("*")):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _keep_best(self, trainer: Trainer, module: Training, found: Validation) -> None:
        settings = module.recipe.trainer
        value = found.figures[settings.monitor]
        score = -value if settings.monitor in BEST_IS_LEAST else value
        score = score if math.isfinite(score) else -math.inf
        better = not self.best or score > self.best[0][0]
        self.n_worse = 0 if better else self.n_worse + 1
        new = (score, BEST.format(f"{trainer.global_step:08d}"))
        # Of equals those that came first.
        self.best = sorted([*self.best, new], key=lambda one: (-one[0], one[1]))[: settings.keep]
        if new in self.best:
            weights = whole(module.trained_state())
            if trainer.is_global_zero:
                note = {"step": trainer.global_step, settings.monitor: value}
                save_weights(self.run.checkpoints / new[1], weights, note)
        self._end_early(trainer, module)

    def _end_early(self, trainer: Trainer, module: Training) -> None:
        patience = module.recipe.trainer.patience
        if patience and self.n_worse >= patience:
            trainer.should_stop = self.ended_early = True


class Ema(Callback):
    """An average of the weights, and of running statistics, over updates; it is validated and saved in their place."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the current weights, or from those of a checkpoint."""
        for name, weight in pl_module.trained_state().items():  # type: ignore[operator]
            before = share_of(self.average.get(name, weight), weight)
            self.average[name] = before.detach().to(weight.device).clone()

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Follow the weights after each update; faster at the start, where there is nothing to average yet."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        share = min(self.decay, (1 + self._step) / (10 + self._step))
        for name, weight in pl_module.trained_state().items():  # type: ignore[operator]
            if weight.is_floating_point():
                self.average[name].lerp_(weight, 1 - share)
            else:
                self.average[name].copy_(weight)  # how many batches statistics are of

    @torch.no_grad()
    def swap(self, module: Training) -> None:
        """Put the average where the weights are, and the weights where the average is."""
        for name, weight in module.trained_state().items():
            kept = weight.detach().clone()
            weight.copy_(self.average[name])
            self.average[name] = kept

    def state_dict(self) -> dict[str, Any]:
        """Return what a run goes on with."""
        return {"average": whole(self.average), "step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self.average, self._step = state_dict["average"], state_dict["step"]


def tell(found: Validation, what: str, n_samples: int) -> None:
    """Report the results of a validation; signs of collapse loudly."""
    told = ", ".join(f"{name} {value:.4g}" for name, value in found.figures.items())
    log.say(f"{what}: {told}")
    for sample in found.samples[:n_samples]:
        log.say(f"  {sample.id}: {sample.text!r}, signed: {sample.reference!r}")
    if found.doubts:
        log.warn("the model may have collapsed to one output for all clips: " + "; ".join(found.doubts))
