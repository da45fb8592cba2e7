"""Lightning's loop as it is wanted here: which processes and strategy, checkpoints as files, no words of its own."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy

from slt.errors import UserError
from slt.files import atomic_write
from slt.recipe.schema import Recipe
from slt.runs import Run
from slt.train.prepare import Prepared
from slt.train.sharding import Sharded

COMPILERS = {"cpu": ("CXX", "g++"), "cuda": ("CC", "gcc")}  # the variable that names one, and the usual one
PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def world(recipe: Recipe) -> tuple[int, int]:
    """Return how many processes train together, and which of them this is."""
    if "WORLD_SIZE" in os.environ:  # torchrun's
        return int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    if SLURMEnvironment.detect() and int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        return int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_PROCID"])
    if recipe.trainer.devices > 1 or recipe.trainer.nodes > 1:
        raise UserError(
            f"trainer.devices {recipe.trainer.devices} on {recipe.trainer.nodes} nodes, but this is a single process",
            fix=f"torchrun --nproc-per-node {recipe.trainer.devices} -m slt_cli.main …, or srun",
        )
    return 1, 0


def make_trainer(recipe: Recipe, prepared: Prepared, run: Run, callbacks: list[Any]) -> Trainer:
    """Return what runs the loop."""
    settings = recipe.trainer
    processes = world(recipe)[0]
    return Trainer(
        accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[settings.device],
        devices=max(processes // settings.nodes, 1),
        num_nodes=settings.nodes,
        strategy=_strategy(settings.strategy, processes),
        precision=PRECISIONS[settings.precision],
        plugins=[Files(), *_scheduler()],
        max_epochs=prepared.n_stretches,
        max_steps=prepared.n_steps,
        accumulate_grad_batches=recipe.optim.accumulate,
        gradient_clip_val=recipe.optim.clip_norm or None,
        use_distributed_sampler=False,
        callbacks=callbacks,
        default_root_dir=run.folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _scheduler() -> list[SLURMEnvironment]:
    """Return Slurm's view of the processes where srun started each; torchrun inside srun has a view of its own."""
    alone = SLURMEnvironment.detect() and "WORLD_SIZE" not in os.environ
    return [SLURMEnvironment(auto_requeue=False)] if alone else []


def _strategy(name: str, processes: int) -> Strategy | str:
    if processes == 1:
        return "auto"
    return Sharded(processes) if name == "fsdp" else DDPStrategy()


class Files(CheckpointIO):
    """Checkpoints as files that are whole or not there, and that hold nothing but tensors and plain values."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one."""
        with atomic_write(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read one; what each process needs of it, when it needs it."""
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """Remove one."""
        Path(path).unlink(missing_ok=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's own words from the terminal, and libraries' from stdout, which is for results alone.

    Gloo, for one, writes there which processes it connects, past Python; what it says goes to stderr.
    """
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*srun.*")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.*")
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def check_compiler(device: torch.device) -> None:
    """Find out what torch would only in the first step: whether there is what it compiles with.

    Raises:
        UserError: there is not.
    """
    variable, usual = COMPILERS[device.type]
    compiler = os.environ.get(variable, usual)
    if shutil.which(compiler) is None:
        raise UserError(
            f"trainer.compile needs a compiler, and there is no {compiler} here",
            fix=f"install {usual}, or name another in {variable}, or --set trainer.compile=false (the image has none)",
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise UserError(
            "trainer.compile on a GPU needs triton, which this environment was made without",
            fix="train in one of `make env`, or --set trainer.compile=false",
        )
