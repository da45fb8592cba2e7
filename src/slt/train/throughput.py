"""Training throughput: steps per second, time waiting for data, and batch statistics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from slt.core import log
from slt.train.lightning import Callback, LightningModule, Trainer
from slt.train.loader import Batch, Loader
from slt.train.loggers import Curves
from slt.train.module import Training
from slt.train.sources import FeatureSource

NOTED_EVERY = 10  # updates
ENOUGH = 50  # batches before one can say what they wait for
LONG_WAIT = 0.05  # of the time


class Watch(Callback):
    """Tells how training goes: figures into the curves, and a bar with loss, cosine, learning rate, speed and ETA."""

    def __init__(self, curves: Curves | None, bars: log.Bars | None, loader: Loader, n_steps: int) -> None:
        self.curves, self.bars, self.loader, self.n_steps = curves, bars, loader, n_steps
        self._begun: tuple[float, int] | None = None  # when, and after which update, the first batch had ended
        self._ended: float | None = None  # the batch before
        self._now, self._in_all = _Times(), _Times()  # since figures were last noted, and of all batches
        self._noted = 0
        self._warned = False

    @property
    def wait(self) -> float:
        """Share of the time that was spent waiting for data; without the first batch, for which readers only begin."""
        return self._in_all.wait

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where one goes on."""
        self._noted = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Note the figures of an update now and then."""
        module: Training = pl_module  # type: ignore[assignment]
        self._count(batch)
        step = trainer.global_step
        self._begun = self._begun or (time.perf_counter(), step)  # what readers and compilers begin with tells nothing
        if self.curves and step % NOTED_EVERY == 0 and step != self._noted:
            figures = {f"train/{name}": value for name, value in module.figures.items()}
            rates = {f"lr/{group['name']}": group["lr"] for group in trainer.optimizers[0].param_groups}
            self.curves.note(figures | self._now.figures() | rates, step=step, epoch=module.epoch)
            self._noted, self._now = step, _Times()
        if self.bars:
            self.bars.update("updates", step, self.n_steps, self._note(trainer, module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say, once, that steps wait for data; and leave validation out of what they take."""
        if self.bars and not self._warned and self._in_all.batches >= ENOUGH and self.wait > LONG_WAIT:
            self._warned = True
            log.warn(told_wait(self.wait, self.loader))
        self._ended = None

    def _count(self, batch: Batch) -> None:
        now, waited = time.perf_counter(), self.loader.waited
        self.loader.waited = 0.0
        if self._ended is not None:
            for times in (self._now, self._in_all):
                times.add(now - self._ended, waited, batch.n_clips)
        self._ended = now

    def _note(self, trainer: Trainer, module: Training) -> str:
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        shown = [f"loss {module.figures['loss']:.3g}"]
        shown += [f"cosine {module.figures['cosine']:.3f}"] if "cosine" in module.figures else []
        shown += [f"lr {rate:.2g}"]
        shown += [f"{self._in_all.speed:.0f} clips/s"] if self._in_all.batches else []
        shown += [f"{log.span(left)} left"] if (left := self._left(trainer.global_step)) is not None else []
        return " ".join(shown)  # 80 columns are just enough

    def _left(self, step: int) -> float | None:
        """Return the seconds until training ends, validation included; None: nothing tells yet."""
        if self._begun is None or step <= self._begun[1]:
            return None
        since, first = self._begun
        return (time.perf_counter() - since) / (step - first) * (self.n_steps - step)


@dataclass
class _Times:
    """What batches took, and how much of it was waiting for them."""

    batches: int = 0
    clips: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, seconds: float, waited: float, clips: int) -> None:
        self.batches, self.clips = self.batches + 1, self.clips + clips
        self.seconds, self.waited = self.seconds + seconds, self.waited + waited

    @property
    def wait(self) -> float:
        return self.waited / max(self.seconds, 1e-9)

    @property
    def speed(self) -> float:
        return self.clips / max(self.seconds, 1e-9)

    def figures(self) -> dict[str, float]:
        return {"train/clips/s": self.speed, "train/wait": self.wait} if self.batches else {}


def told_wait(share: float, loader: Loader) -> str:
    """Describe that steps wait for data, and what to change."""
    said = f"{100 * share:.0f} % of the time is waiting for data"
    if not isinstance(loader.dataset.corpus.source, FeatureSource):
        return f"{said}: features are made from the videos each time; slt extract-features makes them once"
    return f"{said}: set data.workers higher than {loader.num_workers}, or put the features on a faster disk"
