"""A recipe: everything that decides what a training does. One for all trainers; defaults stand here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from slt.recipe.checks import Monitor, decoder_mistakes
from slt.recipe.data import Augment, Data
from slt.recipe.decoders import Decoder
from slt.recipe.extractors import Extractor, complaint_about_pair
from slt.recipe.parts import ON_KEYPOINTS, Contrastive, Encoder, Objective, refuse

VERBS = ("train-features", "train-encoder", "train-decoder", "train-translator", "train-vlp")
FEWEST_TO_CONTRAST = 4  # clips in a batch whose sentences are told from each other


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
        least = {"epochs": 1, "text_clips": 1, "beam": 1, "keep": 1, "save_every_s": 0, "max_steps": 0}
        least |= {"seed": 0, "text_every": 0, "samples": 0, "patience": 0}
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
