"""A recipe: everything that decides what a training does. One for all trainers; defaults stand here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slt.recipe.checks import Monitor, decoder_mistakes
from slt.recipe.decoders import Decoder
from slt.recipe.extractors import Extractor, complaint_about_pair
from slt.recipe.parts import ON_KEYPOINTS, Contrastive, Encoder, Objective, refuse

VERBS = ("train-features", "train-encoder", "train-decoder", "train-translator", "train-vlp")
STREAMS = ("keypoints", "siglip", "timesformer", "signhiera")  # what `slt extract-features` can make
FEWEST_TO_CONTRAST = 4  # clips in a batch whose sentences are told from each other


@dataclass(frozen=True, kw_only=True)
class Split:
    """Clips to train on, or to validate with.

    Attributes:
        manifest: of the clips.
        features: a feature store, or a folder of ``<id>.npy`` or ``.pt``; or what made them → where they lie, as
            ``{keypoints: DIR, siglip: DIR}`` for the encoder that takes two streams. None: they are made from the
            videos.
    """

    manifest: str
    features: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.features, Mapping):
            return
        names = tuple(self.features)
        unknown = [name for name in names if name not in STREAMS]
        refuse(
            (not names, "features is empty"),
            (bool(unknown), f"features names {', '.join(unknown)}; known: {', '.join(STREAMS)}"),
            (
                len(names) > 2 or (len(names) == 2 and STREAMS[0] not in names),
                f"features names {', '.join(names)}; two streams are {STREAMS[0]} and one of the others",
            ),
        )

    @property
    def streams(self) -> tuple[tuple[str | None, str], ...]:
        """What made each stream of the features, None where the recipe does not say, and where it lies.

        Keypoints come first; no streams: features are made from the videos.
        """
        if isinstance(self.features, Mapping):
            return tuple(sorted(self.features.items(), key=lambda stream: STREAMS.index(stream[0])))
        return ((None, self.features),) if self.features else ()


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How training features are disturbed, anew in every epoch; 0 leaves one out.

    Attributes:
        rate: largest relative change of the signing's speed, by resampling the time steps.
        crop: largest share of the time steps cut from the two ends together.
        drop: share of single time steps left out.
        mask: share of the time steps set to zero, in one stretch.
        noise: Gaussian noise, in standard deviations of the features.
        feature_dropout: share of the feature's numbers set to zero, the same ones in a whole clip.
    """

    rate: float = 0.0
    crop: float = 0.0
    drop: float = 0.0
    mask: float = 0.0
    noise: float = 0.0
    feature_dropout: float = 0.0

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("rate", "crop", "drop", "mask", "feature_dropout")}
        refuse(
            *((not 0 <= share < 1, f"{name} {share}, expected 0 or more, below 1") for name, share in shares.items()),
            (self.noise < 0, f"noise {self.noise}, expected 0 or more"),
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is learnt from.

    Attributes:
        train: to train on.
        val: to validate with.
        langs: FLORES-200 codes of the target texts. Each time a clip is seen one of those it has is drawn; the first
            is the one validated in.
        embeddings: what `slt embed-text` wrote; none: made at the start, and kept beside the run.
        batch_rows: time steps (with text alone: characters) in a batch of one process, padding included.
        batch_clips: clips in a batch of one process at most.
        max_rows: time steps at most; longer clips are left out, and listed.
        allow_missing: leave out clips without features, and list them; otherwise they end the run before it begins.
        workers: processes that read ahead.
        augment: how stored training features are disturbed.
    """

    train: Split
    val: Split
    langs: tuple[str, ...] = ("eng_Latn",)
    embeddings: str | None = None
    batch_rows: int = 8192
    batch_clips: int = 256
    max_rows: int = 1024
    allow_missing: bool = False
    workers: int = 2
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("batch_rows", "batch_clips", "max_rows")}
        refuse(
            *((size < 1, f"{name} {size}, expected at least 1") for name, size in sizes.items()),
            (self.workers < 0, f"workers {self.workers}, expected 0 or more"),
            (not self.langs, "langs is empty"),
            (len(set(self.langs)) < len(self.langs), "langs names one twice"),
        )


@dataclass(frozen=True, kw_only=True)
class Optim:
    """AdamW and its schedule.

    Attributes:
        lr: learning rate at its peak.
        lr_factors: extractor, encoder or decoder, or a part of one as ``decoder.bridge`` → what its learning rate is
            multiplied by; the longest name that fits a weight holds.
        weight_decay: of matrices; biases, norms and other vectors decay never.
        betas: of the two averages.
        schedule: how the learning rate falls after the warmup.
        warmup_steps: updates over which it rises from zero.
        min_lr: share of the peak at which it ends.
        clip_norm: longest gradient; 0: any.
        accumulate: batches per update.
        ema: decay of an average of the weights that is validated and saved in their place, 0.999 say; 0: none.
    """

    lr: float = 1e-4
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = 1000
    min_lr: float = 0.0
    clip_norm: float = 1.0
    accumulate: int = 1
    ema: float = 0.0

    def __post_init__(self) -> None:
        parts = ("extractor", "encoder", "decoder")
        unknown = [name for name in self.lr_factors if name.partition(".")[0] not in parts]
        refuse(
            (not 0 < self.lr < float("inf"), f"lr {self.lr}, expected more than 0"),
            (bool(unknown), f"lr_factors names {', '.join(unknown)}, known: extractor, encoder, decoder"),
            (any(one < 0 for one in self.lr_factors.values()), "lr_factors has a factor below 0"),
            (self.weight_decay < 0, f"weight_decay {self.weight_decay}, expected 0 or more"),
            (not all(0 <= beta < 1 for beta in self.betas), f"betas {self.betas}, expected 0 or more, below 1"),
            (self.warmup_steps < 0, f"warmup_steps {self.warmup_steps}, expected 0 or more"),
            (not 0 <= self.min_lr <= 1, f"min_lr {self.min_lr}, expected a share from 0 to 1"),
            (self.clip_norm < 0, f"clip_norm {self.clip_norm}, expected 0 or more"),
            (self.accumulate < 1, f"accumulate {self.accumulate}, expected at least 1"),
            (not 0 <= self.ema < 1, f"ema {self.ema}, expected 0 or more, below 1"),
        )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From an epoch on, train what matches, and nothing else.

    Attributes:
        from_epoch: counted from 0; the first stage starts at 0.
        train: patterns of parameter names, ``encoder.projection_out.*`` say.
    """

    from_epoch: int
    train: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How long, on what, and what is looked at meanwhile.

    Attributes:
        epochs: times that every clip is seen.
        max_steps: updates at most; 0: as many as the epochs have.
        device: auto, cpu or cuda.
        devices: processes on this machine, each with a GPU of its own where there are any; 0: all GPUs, else 1.
        nodes: machines.
        strategy: of several processes: "ddp", each has all weights; "fsdp", each has a share of those that are trained
            and puts a layer together while it computes: less memory, more talk.
        precision: what is computed in; bf16 and fp16 keep the weights in fp32.
        compile: let torch compile the encoder; minutes at the start, faster after.
        seed: of everything random.
        validate_every: epochs between validations; 0.25 is four in an epoch. The last step is always followed by one.
        text_every: validations between those that also translate through the decoder; 0: none does.
        text_clips: validation clips that are translated.
        samples: of these, how many are shown.
        beam: width of the decoder's search.
        monitor: the figure that says which weights are best.
        patience: validations without a better figure after which training ends; 0: never.
        keep: best weights that are kept.
        save_every_s: seconds between checkpoints to go on from.
        explosion: a loss that many times its running mean ends the run.
        wandb: project in Weights & Biases to report to as well; WANDB_MODE=offline keeps it on this machine.
    """

    epochs: int = 20
    max_steps: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 0
    nodes: int = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    seed: int = 0
    validate_every: float = 1.0
    text_every: int = 5
    text_clips: int = 100
    samples: int = 3
    beam: int = 5
    monitor: Monitor = "cosine"
    patience: int = 0
    keep: int = 1
    save_every_s: float = 600.0
    explosion: float = 1000.0
    wandb: str | None = None

    def __post_init__(self) -> None:
        least = {"epochs": 1, "nodes": 1, "text_clips": 1, "beam": 1, "keep": 1, "save_every_s": 0, "max_steps": 0}
        least |= {"devices": 0, "seed": 0, "text_every": 0, "samples": 0, "patience": 0}
        found = {name: getattr(self, name) for name in least}
        refuse(
            *((found[name] < low, f"{name} {found[name]}, expected at least {low}") for name, low in least.items()),
            (self.validate_every <= 0, f"validate_every {self.validate_every}, expected more than 0"),
            (
                self.validate_every > 1 and self.validate_every % 1 != 0,
                f"validate_every {self.validate_every}, expected whole epochs above 1",
            ),
            (self.precision == "fp16" and self.device == "cpu", "precision fp16 on a CPU: take bf16, or fp32"),
            (self.precision == "fp16" and self.strategy == "fsdp", "precision fp16 with strategy fsdp: take bf16"),
            (self.compile and self.strategy == "fsdp", "compile with strategy fsdp: set one of the two"),
            (self.explosion <= 1, f"explosion {self.explosion}, expected more than 1"),
            (
                self.monitor in ("bleu", "chrf") and self.text_every != 1,
                f"monitor {self.monitor} needs text_every 1, found {self.text_every}",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training.

    Attributes:
        name: what the run is called.
        extractor: what made the features, or makes them; goes into the bundle.
        encoder: features to embedding; none when only a decoder is trained on text.
        decoder: what the encoder returns to text.
        objective: what is learnt.
        data: from what.
        optim: how.
        stages: what is trained from which epoch on; none: everything that is not frozen, from the start.
        trainer: how long, and what is looked at meanwhile.
    """

    name: str
    extractor: Extractor | None = None
    encoder: Encoder | None = None
    decoder: Decoder
    objective: Objective
    data: Data
    optim: Optim = field(default_factory=Optim)
    stages: tuple[Stage, ...] = ()
    trainer: Trainer = field(default_factory=Trainer)

    def __post_init__(self) -> None:
        starts = [stage.from_epoch for stage in self.stages]
        kind = self.encoder.kind if self.encoder else ""
        wanted, words = (2, "two streams") if kind == "fusion" else (1, "one stream")
        given = [len(split.streams) for split in (self.data.train, self.data.val)]
        unfit = self.extractor and complaint_about_pair(self.extractor, kind, stored=0 not in given)
        refuse(
            (not self.name or "/" in self.name, f"name {self.name!r}, expected one that a folder can have"),
            (bool(starts) and starts[0] != 0, f"the first of the stages starts at epoch {starts and starts[0]}, not 0"),
            (starts != sorted(set(starts)), "stages are not in the order of their epochs"),
            (
                bool(kind) and any(count not in (0, wanted) for count in given),
                f"encoder {kind} takes {words} of features; data.train.features gives {given[0]}, data.val.features "
                f"{given[1]}",
            ),
            (bool(unfit), unfit or ""),
            (
                kind in ON_KEYPOINTS and 0 in given,
                f"encoder {kind} learns from stored keypoints: give data.train.features and data.val.features",
            ),
            (
                self.aligns and self.trainer.monitor in ("bleu", "chrf"),
                f"monitor {self.trainer.monitor} with objective contrastive, which decodes nothing; take recall@1",
            ),
            (
                self.aligns and self.data.batch_clips < FEWEST_TO_CONTRAST,
                f"batch_clips {self.data.batch_clips}, but objective contrastive needs at least {FEWEST_TO_CONTRAST} "
                "clips to tell apart",
            ),
            (
                not self.data.train.streams and self.data.augment != Augment(),
                "data.augment disturbs stored features, and data.train.features gives none: set data.augment={}",
            ),
            *decoder_mistakes(self),
        )

    @property
    def aligns(self) -> bool:
        """Whether an encoder is only brought near to texts, and nothing is decoded."""
        return isinstance(self.objective, Contrastive)
