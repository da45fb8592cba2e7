"""Everything checked before the first training step: clips, targets, widths, batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from slt.core import log
from slt.core.device import choose_device, is_accelerator
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.runs import Run
from slt.data.manifest import Manifest, read_manifest
from slt.models.config import KEYPOINT_DIMS
from slt.recipe.data import Data, Split
from slt.recipe.parts import ON_KEYPOINTS
from slt.recipe.schema import FEWEST_TO_CONTRAST, Recipe
from slt.train.batches import Batches
from slt.train.decoders import check_decoder
from slt.train.examples import Corpus, all_texts, read_corpus, shared_sentences
from slt.train.extractors import choose_extractor, extract_command, wanted_streams
from slt.train.loader import Clips, Loader, Positions, feature_spreads
from slt.train.parts import Widths
from slt.train.sources import FeatureSource, Source, TextSource, VideoSource
from slt.train.target_space import text_space
from slt.train.targets import Targets, TextSpace, no_targets
from slt.video.skeletons import MEDIAPIPE_75

LEFT_OUT = "left-out.tsv"
TargetsOf = Callable[[Iterable[tuple[str, str]], TextSpace], Targets]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training stands on.

    Attributes:
        train, val: the two splits.
        targets: the embeddings of their texts; of no width where nothing is compared with them.
        widths: what the data decides of the models' shapes.
        batches: of the whole training.
        interval: batches from one validation to the next.
        every: intervals from one validation to the next; more than 1 when validation is less than once an epoch.
        n_intervals: of the whole training.
        n_steps: updates of the whole training.
    """

    train: Corpus
    val: Corpus
    targets: Targets
    widths: Widths
    batches: Batches
    interval: int
    every: int
    n_intervals: int
    n_steps: int

    @property
    def from_video(self) -> bool:
        """Whether features are made from videos."""
        return isinstance(self.train.source, VideoSource)


def prepare(recipe: Recipe, targets_of: TargetsOf, *, processes: int) -> Prepared:
    """Gather and check everything.

    Args:
        recipe: the recipe.
        targets_of: makes the embeddings of (text, language) pairs with a text encoder, where they are needed.
        processes: that will train together.

    Raises:
        UserError: files that are absent or do not fit each other, clips without features, unknown languages.
    """
    check_decoder(recipe)
    train, val = _splits(recipe)
    _check_enough(train, val, processes)
    own_texts = tuple(text for text, _ in all_texts(train))
    space = text_space(recipe, own_texts)
    targets = targets_of(all_texts(train, val), space) if space else no_targets(all_texts(train, val))
    if recipe.aligns:
        targets = targets.centred(all_texts(train))
    widths = train.source.widths or (choose_extractor(recipe.extractor).feature_dims if recipe.extractor else (0,))
    batches = Batches(
        lengths=train.lengths,
        rows=recipe.data.batch_rows * processes,
        clips=recipe.data.batch_clips * processes,
        multiple=_fewest(recipe, processes),
        seed=recipe.trainer.seed,
    )
    settings = recipe.trainer
    interval = max(1, round(batches.per_epoch * min(settings.validate_every, 1.0)))
    n_intervals = max(1, round(settings.epochs * batches.per_epoch / interval))
    n_steps = n_intervals * -(-interval // recipe.optim.accumulate)
    return Prepared(
        train=train,
        val=val,
        targets=targets,
        widths=Widths(
            feature_dim=widths[0],
            visual_dim=sum(widths[1:]),
            target_dim=targets.dim,
            target_length=targets.mean_length,
            texts=own_texts,
        ),
        batches=batches,
        interval=interval,
        every=max(1, round(settings.validate_every)),
        n_intervals=n_intervals,
        n_steps=min(n_steps, settings.max_steps or n_steps),
    )


def train_loader(recipe: Recipe, prepared: Prepared, process: tuple[int, int]) -> Loader:
    """Return what reads this process's share of the training batches."""
    stored = isinstance(prepared.train.source, FeatureSource)
    clips = Clips(
        prepared.train,
        prepared.targets,
        recipe.data.langs,
        seed=recipe.trainer.seed,
        augment=recipe.data.augment,
        spreads=feature_spreads(prepared.train) if stored else (),
    )
    positions = Positions(prepared.batches, prepared.interval, process)
    pin = is_accelerator(choose_device(recipe.trainer.device))
    return Loader(clips, positions, workers=recipe.data.workers, pin=pin)


def val_batches(recipe: Recipe, prepared: Prepared, process: tuple[int, int]) -> Loader:
    """Return what reads this process's share of the validation batches, always the same."""
    settings = recipe.data
    batches = Batches(
        lengths=prepared.val.lengths,
        rows=settings.batch_rows * process[1],
        clips=settings.batch_clips * process[1],
        multiple=_fewest(recipe, process[1]),
    )
    positions = Positions(batches, batches.per_epoch, process)
    return Loader(Clips(prepared.val, prepared.targets, settings.langs), positions, workers=0)


def tell_findings(recipe: Recipe, prepared: Prepared, run: Run) -> None:
    """Report what was found; list what is left out in the run's folder."""
    train, val = prepared.train, prepared.val
    log.say(
        f"{len(train.examples)} clips to train on, {len(val.examples)} to validate with; "
        f"{prepared.batches.per_epoch} batches in an epoch, {100 * prepared.batches.padding():.1f} % of them padding"
    )
    left_out = {**train.left_out, **val.left_out}
    if left_out:
        with atomic_write(run.folder / LEFT_OUT) as file:
            file.write("".join(f"{name}\t{why}\n" for name, why in left_out.items()).encode())
        log.warn(f"{len(left_out)} clips are left out; which and why: {run.folder / LEFT_OUT}")
    if shared := shared_sentences(train, val):
        log.warn(
            f"{len(shared)} of {len(val.examples)} validation sentences are training sentences too, "
            f"{shared[0]!r:.80} for one: figures on them say less"
        )
    if recipe.optim.warmup_steps >= prepared.n_steps:
        log.warn(
            f"optim.warmup_steps is {recipe.optim.warmup_steps}, and there are {prepared.n_steps} updates in all: the "
            "learning rate never reaches its peak"
        )


def _fewest(recipe: Recipe, processes: int) -> int:
    """Return how many clips a batch of all processes should have at least."""
    return max(processes, FEWEST_TO_CONTRAST) if recipe.aligns else processes


def _splits(recipe: Recipe) -> tuple[Corpus, Corpus]:
    data = recipe.data
    parts = []
    for split, langs in ((data.train, data.langs), (data.val, data.langs[:1])):
        manifest = read_manifest(Path(split.manifest), lang=data.langs[0])
        parts.append(read_corpus(manifest, _source(recipe, manifest, split, data), data, langs))
    train, val = parts
    if train.source.widths != val.source.widths:
        train_wide, val_wide = (" and ".join(map(str, split.source.widths)) for split in (train, val))
        raise UserError(
            f"training features are {train_wide} wide, validation features {val_wide}",
            fix="extract both with the same extractor",
        )
    _check_same_joints(train.source, val.source)
    return train, val


def _check_same_joints(train: Source, val: Source) -> None:
    """Refuse keypoints of one detector to train on and of another to validate with.

    Raises:
        UserError: their headers say so.
    """
    if not (isinstance(train, FeatureSource) and isinstance(val, FeatureSource)):
        return
    for path, one, other in zip(val.paths, train.stores, val.stores, strict=True):
        if one.header.extractor == other.header.extractor == "keypoints":
            geometry = {name: one.header.geometry.get(name) for name in ("detector", "model", "skeleton", "unit")}
            other.header.check_fits(
                where=Path(path), fix="take keypoints of one detector for all splits", geometry=geometry
            )


def _check_enough(train: Corpus, val: Corpus, processes: int) -> None:
    """Refuse more processes than a split has clips: each has one of every batch.

    Raises:
        UserError: there are more.
    """
    fewest = min(len(train.examples), len(val.examples))
    if fewest < processes:
        raise UserError(
            f"{processes} processes train together, but a split has only {fewest} clips",
            fix=f"take at most {fewest} processes",
        )


def _source(recipe: Recipe, manifest: Manifest, split: Split, data: Data) -> Source:
    if recipe.encoder is None:
        return TextSource()
    chosen = choose_extractor(recipe.extractor) if recipe.extractor else None
    if not split.streams:
        if chosen is None:
            raise UserError("features from videos need an extractor in the recipe")
        return VideoSource(manifest, chosen)
    keypoints = ON_KEYPOINTS.get(recipe.encoder.kind)
    source = FeatureSource(split, keypoints=keypoints is not None)
    _check_kinds(source, split, keypoints)
    if chosen is not None:
        for number, (stream, width) in enumerate(zip(wanted_streams(chosen), chosen.feature_dims, strict=True)):
            stream.check(
                source.stores[number].header,
                where=Path(source.paths[number]),
                fix=extract_command(chosen, stream, split.manifest),
                feature_dim=width,
            )
    return source


def _check_kinds(source: FeatureSource, split: Split, keypoints: str | None) -> None:
    """Check that each store holds what the recipe says, or what the encoder takes: of keypoints, these."""
    for number, (kind, path) in enumerate(split.streams):
        first = keypoints if number == 0 else None
        wanted = first or kind
        source.stores[number].header.check_fits(
            where=Path(path),
            fix=f"slt features import {path} --to {MEDIAPIPE_75.name} --out DIR"
            if first == "keypoints" and "skeleton" in source.stores[number].header.geometry
            else f"slt extract-features {split.manifest} --extractor {wanted} --out DIR",
            extractor=wanted,
            geometry={"skeleton": MEDIAPIPE_75.name} if first == "keypoints" else None,
            feature_dim=KEYPOINT_DIMS[first] if first else None,
        )
