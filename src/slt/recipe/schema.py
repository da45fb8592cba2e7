"""The recipe: everything that determines a training run, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

from slt.recipe.checks import decoder_mistakes
from slt.recipe.data import Augment, Data
from slt.recipe.decoders import Decoder
from slt.recipe.extractors import Extractor, complaint_about_pair
from slt.recipe.parts import ON_KEYPOINTS, Contrastive, Encoder, Objective, refuse
from slt.recipe.trainer import Optim, Stage, Trainer

VERBS = ("train-features", "train-encoder", "train-decoder", "train-translator", "train-vlp")
FEWEST_TO_CONTRAST = 4  # clips in a batch whose sentences are told from each other


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
        trainer: duration, and validation during training.
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
            *decoder_mistakes(self.decoder, self.encoder, self.objective, self.data, self.trainer),
        )

    @property
    def aligns(self) -> bool:
        """Whether an encoder is only brought near to texts, and nothing is decoded."""
        return isinstance(self.objective, Contrastive)
