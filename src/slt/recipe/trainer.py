"""Settings of a training: optimiser, schedule, stages, precision, validation and stopping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from slt.recipe.parts import refuse

Monitor: TypeAlias = Literal[
    "loss",
    "mse",
    "contrastive",
    "cross_entropy",
    "auto_encoding",
    "cosine",
    "recall@1",
    "recall@5",
    "xsim",
    "bleu",
    "chrf",
]
"""Figures of a validation that may say which weights are best."""

BEST_IS_LEAST = ("loss", "mse", "contrastive", "cross_entropy", "auto_encoding", "xsim")


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
    """Duration, device, precision, and validation during training.

    Attributes:
        epochs: times that every clip is seen.
        max_steps: updates at most; 0: as many as the epochs have.
        device: auto, cpu or cuda.
        strategy: of several processes: "ddp", each has all weights; "fsdp", each has a share of those that are trained
            and puts a layer together while it computes: less memory, more talk.
        precision: what is computed in; bf16 and fp16 keep the weights in fp32.
        frozen_weights: what those are held in that are not trained: fp32, or "half", in the precision computed in,
            which takes half the memory and changes next to nothing. Layers that exceed fp16's range stay in fp32.
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
    frozen_weights: Literal["fp32", "half"] = "fp32"
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
            (
                self.frozen_weights == "half" and self.precision == "fp32",
                "frozen_weights half with precision fp32: take precision bf16, or fp16 on a GPU without bf16",
            ),
            (
                self.frozen_weights == "half" and self.strategy == "fsdp",
                "frozen_weights half with strategy fsdp, which shares out what is trained: take ddp",
            ),
            (self.compile and self.strategy == "fsdp", "compile with strategy fsdp: set one of the two"),
            (self.explosion <= 1, f"explosion {self.explosion}, expected more than 1"),
            (
                self.monitor in ("bleu", "chrf") and self.text_every != 1,
                f"monitor {self.monitor} needs text_every 1, found {self.text_every}",
            ),
        )
