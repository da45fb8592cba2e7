"""Lightning's trainer, configured: processes, strategy, checkpoints, no output of its own."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from slt.core import log
from slt.core.device import choose_device, computes_bfloat16, count, is_accelerator
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.runs import Run
from slt.recipe.schema import Recipe
from slt.train.lightning import (
    CheckpointIO,
    ClusterEnvironment,
    DDPStrategy,
    LightningEnvironment,
    SingleDeviceStrategy,
    SLURMEnvironment,
    Strategy,
    TorchElasticEnvironment,
    Trainer,
)
from slt.train.prepare import Prepared
from slt.train.sharding import Sharded

CPU_COMPILER, GPU_COMPILER = ("CXX", "g++"), ("CC", "gcc")  # the variable that names one, and the usual one
PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes that train together.

    Attributes:
        starter: what started them; none: this one is alone.
        processes: how many.
        per_node: how many on each machine.
        rank: which of them this is, from 0.
    """

    starter: Literal["torchrun", "srun"] | None = None
    processes: int = 1
    per_node: int = 1
    rank: int = 0


def world() -> World:
    """Return which processes train together: those that torchrun or else srun started, by its own word.

    What sbatch says of tasks does not count, since it starts its script once all the same.

    Raises:
        UserError: there are not equally many on each node, or srun was not told how many.
    """
    said = os.environ
    if "LOCAL_WORLD_SIZE" in said:
        processes, per_node = int(said["WORLD_SIZE"]), int(said["LOCAL_WORLD_SIZE"])
        found = World(starter="torchrun", processes=processes, per_node=per_node, rank=int(said["RANK"]))
        even = processes % per_node == 0
    elif (processes := int(said.get("SLURM_STEP_NUM_TASKS", 1))) > 1:
        per_node = int(said.get("SLURM_NTASKS_PER_NODE", 0))
        found = World(starter="srun", processes=processes, per_node=per_node, rank=int(said["SLURM_PROCID"]))
        even = processes == per_node * int(said["SLURM_STEP_NUM_NODES"])
    else:
        return World()
    if not even:
        raise UserError(
            f"{found.starter} started {processes} processes, expected a number for each node and as many on all",
            fix="srun --ntasks-per-node N, or torchrun --nproc-per-node N",
        )
    return found


def check_machine(recipe: Recipe, *, computes: bool = True) -> None:
    """See before anything is computed that this machine can do what a recipe asks; tell of GPUs that will lie idle.

    Args:
        recipe: the recipe.
        computes: it is to be trained here; a dry run leaves out what needs a GPU that is not there.

    Raises:
        UserError: it cannot.
    """
    settings = recipe.trainer
    try:
        device = choose_device(settings.device)
    except UserError as error:
        fix = "--set trainer.device=auto takes what there is; `slt doctor` says why a GPU is not seen"
        raise UserError(f"trainer.device: {error}", fix=fix) from error
    if not is_accelerator(device):
        if settings.precision == "fp16" and computes:
            raise UserError("trainer.precision fp16 needs a GPU, and torch sees none here", fix="take bf16 or fp32")
        return
    if settings.precision == "bf16" and not computes_bfloat16(device):
        log.warn(
            "this GPU has no bfloat16 and emulates it, slowly: take trainer.precision=fp32; or small matrices in fp16, "
            "as the recipe how2sign-t4 does"
        )
    together, gpus = world(), count(device.type)
    if together.per_node > gpus:
        raise UserError(
            f"{together.per_node} processes train on this machine, but torch sees {gpus} GPUs in each",
            fix="start one for each GPU; srun's --gpus-per-task hides the others', --gpus-per-node does not",
        )
    if together.processes == 1 and gpus > 1:
        log.say(f"training on one of {gpus} GPUs; on all of them: slt launch torchrun --processes {gpus} -- train-…")


def make_trainer(recipe: Recipe, prepared: Prepared, run: Run, callbacks: list[Any]) -> Trainer:
    """Return what runs the loop."""
    settings = recipe.trainer
    together = world()
    device = choose_device(settings.device)
    return _trainer(
        together,
        accelerator=device.type,
        devices=together.per_node,
        num_nodes=together.processes // together.per_node,
        strategy=_strategy(settings.strategy, together.processes, device),
        precision=PRECISIONS[settings.precision],
        max_epochs=prepared.n_intervals,
        max_steps=prepared.n_steps,
        accumulate_grad_batches=recipe.optim.accumulate,
        gradient_clip_val=recipe.optim.clip_norm or None,
        callbacks=callbacks,
        default_root_dir=run.folder,
    )


def lone_trainer(**settings: Any) -> Trainer:
    """Return what runs the loop of a training without a recipe, in this process alone; settings as Lightning's."""
    return _trainer(World(), devices=1, max_epochs=-1, **settings)


def _trainer(together: World, **settings: Any) -> Trainer:
    return Trainer(
        plugins=[Files(), _environment(together)],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )


def _environment(together: World) -> ClusterEnvironment:
    """Return how the processes find one another, lest Lightning guess from variables that are another job's."""
    if together.starter == "srun":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if together.starter else LightningEnvironment()


def _strategy(name: str, processes: int, device: torch.device) -> Strategy:
    if processes == 1:
        return SingleDeviceStrategy(torch.device(device.type, 0) if is_accelerator(device) else device)
    return Sharded(processes) if name == "fsdp" else DDPStrategy(gradient_as_bucket_view=True)


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
    variable, usual = GPU_COMPILER if is_accelerator(device) else CPU_COMPILER
    compiler = os.environ.get(variable, usual)
    if shutil.which(compiler) is None:
        raise UserError(
            f"trainer.compile needs a compiler, and there is no {compiler} here",
            fix=f"install {usual}, or name another in {variable}, or --set trainer.compile=false (the image has none)",
        )
    if is_accelerator(device) and find_spec("triton") is None:
        raise UserError(
            "trainer.compile on a GPU needs triton, which this environment was made without",
            fix="train in one of `make env`, or --set trainer.compile=false",
        )
