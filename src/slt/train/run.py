"""One training run: prepare, build, train, save the best weights as a bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slt.assets.cards import sha256_of
from slt.assets.hub_names import exact_name
from slt.assets.store import find_bundle
from slt.core import log
from slt.core.device import choose_device
from slt.core.errors import SltError, is_out_of_memory
from slt.core.runs import ASSETS, Run
from slt.recipe.decoders import SonarDecoder
from slt.recipe.extractors import SignHieraExtractor
from slt.recipe.load import plain
from slt.recipe.parts import SonarT5Encoder
from slt.recipe.schema import Recipe
from slt.train.callbacks import Ema, Judge, Keep, steps_done, tell
from slt.train.decoders import text_files
from slt.train.distributed import part
from slt.train.extractors import choose_extractor
from slt.train.loggers import Curves, draw_curves
from slt.train.loop import check_compiler, check_machine, make_trainer, quiet, world
from slt.train.module import Training
from slt.train.parts import build_parts, start_of
from slt.train.prepare import Prepared, prepare, tell_findings, train_loader, val_batches
from slt.train.save import save_bundle, save_encoder
from slt.train.targets import read_targets
from slt.train.throughput import Watch
from slt.train.validation import Validation, validate

KNOWN_CLIPS = 200  # whose features tell foreign videos from those that were trained on
NO_BUNDLE = "no bundle was made: the recipe has no extractor, so nothing makes features of a video"


def train(recipe: Recipe, run: Run) -> Path | None:
    """Train, or go on with a training that was stopped; the same result either way.

    Args:
        recipe: what to do.
        run: its folder.

    Returns:
        The bundle of the best weights; or the file of the best encoder, when that was aligned with text and nothing
        decodes; None when the recipe does not say what makes features of a video.

    Raises:
        UserError: something about the recipe, the data or the machine that the user can mend.
        Stopped: it was asked to stop, and saved where it was.
        SltError: the loss became NaN or exploded, or the machine failed.
    """
    together = world()
    if run.outcome.is_file():
        return None if together.rank else _made_before(recipe, run)
    check_machine(recipe)
    begun = time.monotonic()
    with quiet(), log.bars() as bars:
        given = Path(recipe.data.embeddings) if recipe.data.embeddings else None
        beside = run.folder / "embeddings"
        targets_of = partial(read_targets, given=given, beside=beside, progress=bars.update)
        prepared = prepare(recipe, targets_of, processes=together.processes)
        if together.rank == 0:
            tell_findings(recipe, prepared, run)
            run.note(ASSETS, assets(recipe))
        module = build_module(recipe, prepared)
        judge, wait = _fit(recipe, run, prepared, module, None if together.rank else bars)
        part()  # the first goes on by itself, and must not wait for those that have left
    if together.rank:
        return None
    padding = round(prepared.batches.padding(), 4)
    took = {"seconds": round(time.monotonic() - begun, 1), "wait": round(wait, 4), "padding": padding}
    return _finish(recipe, run, prepared, module, judge, took)


def _made_before(recipe: Recipe, run: Run) -> Path | None:
    """Return what a finished run made, and tell of it as when it was made."""
    made = run.encoder if recipe.aligns else run.bundle
    if made.exists():
        log.say(f"{run.folder} is finished; what it made is {made}")
        return made
    log.say(f"{run.folder} is finished")
    never = recipe.encoder is not None and recipe.extractor is None and not recipe.aligns
    log.warn(NO_BUNDLE if never else f"{made} is no longer there")
    return None


def build_module(recipe: Recipe, prepared: Prepared) -> Training:
    """Build what is trained.

    Raises:
        UserError: something of the recipe is not here, or does not fit.
    """
    if recipe.trainer.compile:
        check_compiler(choose_device(recipe.trainer.device))
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


def assets(recipe: Recipe) -> dict[str, Any]:
    """Return the hashes of the files of every bundle and model that a recipe names; the encoder's with its licence.

    Raises:
        UserError: one of them is not there, or is something else.
    """
    extractor, decoder = recipe.extractor, recipe.decoder
    named = {
        "extractor": extractor.bundle if isinstance(extractor, SignHieraExtractor) else None,
        "decoder": decoder.bundle if isinstance(decoder, SonarDecoder) else None,
    }
    noted: dict[str, Any] = {
        part: {"sha256": dict(find_bundle(name).card.sha256), "bundle": exact_name(name)}
        for part, name in named.items()
        if name
    }
    if extractor is not None and not isinstance(extractor, SignHieraExtractor):
        chosen = choose_extractor(extractor)
        if chosen.weights:
            noted["extractor"] = {
                "model": chosen.settings.model,
                "sha256": {chosen.weights.name: chosen.weights_sha256},
            }
    if not isinstance(decoder, SonarDecoder) and decoder.weights:
        noted["decoder"] = {"sha256": text_files(decoder), "weights": exact_name(decoder.weights)}
    if recipe.encoder is not None and (start := start_of(recipe.encoder)):
        hashes = {start.path.name: start.sha256 or sha256_of(start.path)}
        noted["encoder"] = {
            "weights": exact_name(str(recipe.encoder.weights)),
            "licence": start.licence,
            "sha256": hashes,
        }
    return noted


def _fit(recipe: Recipe, run: Run, prepared: Prepared, module: Training, bars: log.Bars | None) -> tuple[Judge, float]:
    """Run the loop; return who chose the best weights, and the share of the time that was waiting for data."""
    together = world()
    process = together.rank, together.processes
    loader = train_loader(recipe, prepared, process)
    shown = _translated(recipe, prepared)
    reader = val_batches(recipe, prepared, process)

    def look(model: Training, number: int) -> Validation:
        every = recipe.trainer.text_every
        wanted = shown if every and (number + 1) % every == 0 else frozenset[str]()
        return validate(model, reader, lang=recipe.data.langs[0], with_texts=wanted)

    resume = run.last if run.last.is_file() else None
    step = steps_done(resume, process[1]) if resume else 0
    curves = _curves(recipe, run, step) if bars else None
    ema = Ema(recipe.optim.ema) if recipe.optim.ema else None
    judge = Judge(run, look, every=prepared.every, curves=curves, ema=ema)
    watch = Watch(curves, bars, loader, prepared.n_steps)
    keep = Keep(run, loader, judge, every_s=recipe.trainer.save_every_s)
    callbacks = [watch, *([ema] if ema else []), judge, keep]
    if resume:
        log.say(f"resuming after update {step} of {prepared.n_steps}")
    with explained(module):
        make_trainer(recipe, prepared, run, callbacks).fit(module, loader, ckpt_path=resume, weights_only=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # what comes now is the first process's alone
    if judge.ended_early:
        log.say(f"no better {recipe.trainer.monitor} in {judge.n_worse} validations: training ends")
    if curves:
        curves.close()
    return judge, watch.wait


def _finish(
    recipe: Recipe, run: Run, prepared: Prepared, module: Training, judge: Judge, took: dict[str, float]
) -> Path | None:
    """Put the best weights back, look at them once more, and save them as a bundle; an encoder alone as a file."""
    if recipe.trainer.strategy == "fsdp" and world().processes > 1:
        module = build_module(recipe, prepared)  # alone, this process has only its shares of the weights
    module.to(choose_device(recipe.trainer.device))  # Lightning leaves it on the CPU
    own = module.trained_state()
    with torch.no_grad():
        for name, weight in judge.best_weights().items():
            own[name].copy_(weight)
    reader = val_batches(recipe, prepared, (0, 1))
    wanted = _translated(recipe, prepared)
    # Weights held in half precision compute in nothing else.
    is_half = recipe.trainer.frozen_weights == "half"
    with module.arithmetic(module.device) if is_half else nullcontext():
        found = validate(module, reader, lang=recipe.data.langs[0], with_texts=wanted)
    tell(found, f"the best weights, {judge.best[0][1]}", recipe.trainer.samples)
    made = (
        save_encoder(run, module, recipe)
        if recipe.aligns
        else save_bundle(run, module, recipe, _known(reader), figures=found.figures)
    )
    draw_curves(run)
    outcome = {"figures": found.figures, "doubts": found.doubts, **took}
    run.note(run.outcome.name, {**outcome, "steps": prepared.n_steps, "best": judge.best[0][1]})
    if made is None:
        log.warn(NO_BUNDLE)
    return made


def _known(reader: Any) -> list[Tensor]:
    """Return the features of some validation clips, where they were stored."""
    clips: list[Tensor] = []
    for batch in reader:
        if batch.features is None or batch.features.features.isnan().any():
            break
        clips += batch.features.clips()
    return clips[:: max(1, len(clips) // KNOWN_CLIPS)]


def _translated(recipe: Recipe, prepared: Prepared) -> frozenset[str]:
    """Return the validation clips that are translated: spread through the split; none where nothing is decoded."""
    if recipe.aligns:
        return frozenset()
    examples = prepared.val.examples
    step = max(1, len(examples) // recipe.trainer.text_clips)
    return frozenset(example.clip.id for example in examples[::step][: recipe.trainer.text_clips])


def _curves(recipe: Recipe, run: Run, step: int) -> Curves:
    return Curves(run, step=step, wandb=recipe.trainer.wandb, settings=plain(asdict(recipe)))


@contextmanager
def explained(module: Training) -> Iterator[None]:
    """Describe of which batch memory ran out, and which setting to change.

    Raises:
        SltError: it did.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        said = str(error).partition("\n")[0]
        if not is_out_of_memory(error):
            raise
        raise SltError(
            f"out of memory at a batch of {module.batch.shape if module.batch else 'unknown size'}: {said}",
            fix="; or ".join(ways_to_save_memory(module.recipe)),
        ) from error


def ways_to_save_memory(recipe: Recipe) -> Iterator[str]:
    """Yield what a recipe may still change, what costs nothing first."""
    if recipe.trainer.precision == "fp32":
        yield "set trainer.precision=bf16"
    elif recipe.trainer.frozen_weights == "fp32" and recipe.trainer.strategy == "ddp":
        yield "set trainer.frozen_weights=half"
    rows, clips = recipe.data.batch_rows, recipe.data.batch_clips
    yield f"halve data.batch_rows, now {rows}, and data.batch_clips, now {clips}, and double optim.accumulate"
    for where in ("encoder", "decoder"):
        if getattr(getattr(recipe, where), "checkpointing", None) is False:
            yield f"set {where}.checkpointing=true"
    encoder = recipe.encoder
    if isinstance(encoder, SonarT5Encoder) and not (encoder.lora_rank or encoder.frozen):
        yield "train small matrices alone, as the recipe how2sign-t4 does: encoder.lora_rank=16"
    if getattr(recipe.extractor, "windows_at_once", 1) > 1 and not recipe.data.train.streams:
        yield f"halve extractor.windows_at_once, now {getattr(recipe.extractor, 'windows_at_once', 1)}"
