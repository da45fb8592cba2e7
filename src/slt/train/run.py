"""One training, top to bottom: prepare, build, train, and keep the best as a bundle."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from slt import log
from slt.assets.store import find_bundle
from slt.errors import SltError, UserError
from slt.files import atomic_write
from slt.recipe.load import plain
from slt.recipe.schema import Recipe
from slt.runs import ASSETS, Run
from slt.train.callbacks import Ema, Judge, Keep, Watch, tell
from slt.train.curves import Curves, draw_curves
from slt.train.module import Training
from slt.train.parts import build_parts
from slt.train.prepare import Prepared, prepare, tell_findings, train_loader, val_batches
from slt.train.processes import part
from slt.train.save import save_bundle
from slt.train.targets import read_targets
from slt.train.validation import Validation, validate

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
KNOWN_CLIPS = 200  # whose features tell foreign videos from those that were trained on


def train(recipe: Recipe, run: Run) -> Path | None:
    """Train, or go on with a training that was stopped; the same result either way.

    Args:
        recipe: what to do.
        run: its folder.

    Returns:
        The bundle of the best weights; None when the recipe does not say what makes features of a video.

    Raises:
        UserError: something about the recipe, the data or the machine that the user can mend.
        Stopped: it was asked to stop, and saved where it was.
        SltError: the loss became NaN or exploded, or the machine failed.
    """
    if run.outcome.is_file():
        log.say(f"{run.folder} is finished; its bundle is {run.bundle}")
        return run.bundle
    begun = time.monotonic()
    with quiet(), log.bars() as bars:
        processes, rank = world(recipe)
        given = Path(recipe.data.embeddings) if recipe.data.embeddings else None
        beside = run.folder / "embeddings"
        targets_of = partial(read_targets, given=given, beside=beside, progress=bars.update)
        prepared = prepare(recipe, targets_of, processes=processes)
        if rank == 0:
            tell_findings(prepared, run)
            run.note(ASSETS, assets(recipe))
        module = build_module(recipe, prepared)
        judge = _fit(recipe, run, prepared, module, bars if rank == 0 else None)
        part()  # the first goes on by itself, and must not wait for those that have left
    if rank:
        return None
    return _finish(recipe, run, prepared, module, judge, seconds=time.monotonic() - begun)


def build_module(recipe: Recipe, prepared: Prepared) -> Training:
    """Build what is trained."""
    parts = build_parts(recipe, prepared.widths, from_video=prepared.from_video)
    module = Training(
        recipe,
        parts,
        variance=prepared.targets.variance,
        n_steps=prepared.n_steps,
        per_epoch=prepared.batches.per_epoch,
    )
    if recipe.trainer.compile and module.encoder is not None:
        module.encoder.compile(dynamic=True)
    return module


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


def assets(recipe: Recipe) -> dict[str, Any]:
    """Return the hashes of the files of every bundle that a recipe names."""
    named = {
        "extractor": recipe.extractor and recipe.extractor.bundle,
        "decoder": recipe.decoder.bundle,
    }
    return {
        part: {"bundle": name, "sha256": dict(find_bundle(name).card.sha256)} for part, name in named.items() if name
    }


def _fit(recipe: Recipe, run: Run, prepared: Prepared, module: Training, bars: log.Bars | None) -> Judge:
    process = world(recipe)[::-1]
    loader = train_loader(recipe, prepared, process)
    shown = _translated(recipe, prepared)
    reader = val_batches(recipe, prepared, process)

    def look(model: Training, number: int) -> Validation:
        every = recipe.trainer.text_every
        wanted = shown if every and (number + 1) % every == 0 else frozenset[str]()
        return validate(model, reader, lang=recipe.data.langs[0], with_texts=wanted)

    resume = run.last if run.last.is_file() else None
    step = int(torch.load(resume, weights_only=True, mmap=True)["global_step"]) if resume else 0
    curves = _curves(recipe, run, step) if bars else None
    ema = Ema(recipe.optim.ema) if recipe.optim.ema else None
    judge = Judge(run, look, every=prepared.every, curves=curves, ema=ema)
    watch = Watch(curves, bars, prepared.n_steps)
    keep = Keep(run, loader, every_s=recipe.trainer.save_every_s)
    callbacks = [watch, *([ema] if ema else []), judge, keep]
    if resume:
        log.say(f"going on after update {step} of {prepared.n_steps}")
    with _explained(module):
        _trainer(recipe, prepared, run, callbacks).fit(module, loader, ckpt_path=resume, weights_only=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # what comes now is the first process's alone
    if judge.ended_early:
        log.say(f"no better {recipe.trainer.monitor} in {judge.n_worse} validations: training ends")
    if curves:
        curves.close()
    return judge


def _trainer(recipe: Recipe, prepared: Prepared, run: Run, callbacks: list[Any]) -> Trainer:
    settings = recipe.trainer
    processes = world(recipe)[0]
    return Trainer(
        accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[settings.device],
        devices=max(processes // settings.nodes, 1),
        num_nodes=settings.nodes,
        strategy=_strategy(processes),
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


def _strategy(processes: int) -> Strategy | str:
    return DDPStrategy() if processes > 1 else "auto"


def _finish(
    recipe: Recipe, run: Run, prepared: Prepared, module: Training, judge: Judge, *, seconds: float
) -> Path | None:
    """Put the best weights back, look at them once more through the decoder, and save them as a bundle."""
    own = module.trained_weights()
    with torch.no_grad():
        for name, weight in judge.best_weights().items():
            own[name].copy_(weight)
    reader = val_batches(recipe, prepared, (0, 1))
    wanted = _translated(recipe, prepared)
    found = validate(module, reader, lang=recipe.data.langs[0], with_texts=wanted)
    tell(found, module.epoch, recipe.trainer.samples)
    folder = save_bundle(run, module, recipe, _known(reader), figures=found.figures)
    draw_curves(run)
    outcome = {"figures": found.figures, "doubts": found.doubts, "seconds": round(seconds, 1)}
    run.note(run.outcome.name, {**outcome, "steps": prepared.n_steps, "best": judge.best[0][1]})
    if folder is None:
        log.warn("no bundle was made: the recipe has no extractor, so nothing makes features of a video")
    return folder


def _known(reader: Any) -> list[Tensor]:
    """Return the features of some validation clips, where they were stored."""
    clips: list[Tensor] = []
    for batch in reader:
        if batch.features is None or batch.features.features.isnan().any():
            break
        clips += batch.features.clips()
    return clips[:: max(1, len(clips) // KNOWN_CLIPS)]


def _translated(recipe: Recipe, prepared: Prepared) -> frozenset[str]:
    """Return the validation clips that are translated: spread through the split."""
    examples = prepared.val.examples
    step = max(1, len(examples) // recipe.trainer.text_clips)
    return frozenset(example.clip.id for example in examples[::step][: recipe.trainer.text_clips])


def _curves(recipe: Recipe, run: Run, step: int) -> Curves:
    return Curves(run, step=step, wandb=recipe.trainer.wandb, settings=plain(asdict(recipe)))


class Files(CheckpointIO):
    """Checkpoints as files that are whole or not there, and that hold nothing but tensors and plain values."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one."""
        with atomic_write(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read one."""
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """Remove one."""
        Path(path).unlink(missing_ok=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's own words from the terminal."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*srun.*")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.*")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _explained(module: Training) -> Iterator[None]:
    """Say of which batch memory ran out, and which setting to change.

    Raises:
        SltError: it did.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        said = str(error).partition("\n")[0]
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said
        if not out_of_memory:
            raise
        data = module.recipe.data
        raise SltError(
            f"out of memory at a batch of {module.batch.shape if module.batch else 'unknown size'}: {said}",
            fix=f"halve data.batch_rows, now {data.batch_rows}, and double optim.accumulate; or set "
            "encoder.checkpointing=true, trainer.precision=bf16",
        ) from error
