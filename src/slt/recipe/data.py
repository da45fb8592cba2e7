"""Recipe: splits, batches and augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slt.core.registry import FRONTENDS
from slt.recipe.parts import refuse

STREAMS = ("keypoints", *(kind for kind in FRONTENDS if "keypoints" not in kind))
"""What `slt extract-features` can make, in the order in which encoders of two streams take them."""


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
        mask: share of the time steps set to zero, in one segment.
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
