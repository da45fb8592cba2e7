"""Recipe: the extractor, one dataclass per kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from slt.core.registry import FRONTENDS
from slt.recipe.parts import refuse


@dataclass(frozen=True, kw_only=True)
class SignHieraExtractor:
    """SignHiera, as a bundle has it.

    Attributes:
        kind: its name.
        bundle: whose extractor, and whose way of cutting videos into windows: a bundle's name or folder.
        frozen: share of its blocks, counted from the first, that stay as they are; 1: all of it.
        checkpointing: recompute the blocks' activations in the backward pass: much less memory, a third more work.
        windows_at_once: windows that go through it together.
    """

    kind: Literal["signhiera"]
    bundle: str
    frozen: float = 1.0
    checkpointing: bool = True
    windows_at_once: int = 4

    def __post_init__(self) -> None:
        refuse(
            (not 0 <= self.frozen <= 1, f"frozen {self.frozen}, expected a share from 0 to 1"),
            (self.windows_at_once < 1, f"windows_at_once {self.windows_at_once}, expected at least 1"),
        )


@dataclass(frozen=True, kw_only=True)
class KeypointExtractor:
    """MediaPipe Holistic's joints of every frame, for the encoders that take keypoints.

    Attributes:
        kind: its name.
        skeleton: what the keypoints were detected as; others than MediaPipe's were converted when they were stored.
    """

    kind: Literal["keypoints"]
    skeleton: Literal["mediapipe-75", "openpose-137", "coco-wholebody-133"] = "mediapipe-75"


@dataclass(frozen=True, kw_only=True)
class WholebodyExtractor:
    """133 points of body, feet, face and hands of every frame, for the encoder that takes them.

    Attributes:
        kind: its name.
        detector: where they come from: "rtmw", or "pose-file", joints that something else found or that were drawn.
        skeleton: what these files hold; null: MediaPipe's joints, among which none are of the face.
    """

    kind: Literal["wholebody"]
    detector: Literal["rtmw", "pose-file"] = "rtmw"
    skeleton: Literal["mediapipe-75", "openpose-137", "coco-wholebody-133"] | None = None

    def __post_init__(self) -> None:
        refuse(
            (bool(self.skeleton) and self.detector == "rtmw", f"skeleton {self.skeleton} is of pose-file, not of rtmw")
        )


@dataclass(frozen=True, kw_only=True)
class SiglipExtractor:
    """SigLIP's embedding of every second frame.

    Attributes:
        kind: its name.
        model: whose SigLIP: the folder of one, as transformers keeps it; or a bundle's name or folder.
        detector: what finds the signer, whose square is looked at then; "none": the whole picture is.
    """

    kind: Literal["siglip"]
    model: str
    detector: str = "none"


@dataclass(frozen=True, kw_only=True)
class KeypointSiglipExtractor:
    """Both, for the encoder that takes two streams.

    Attributes:
        kind: its name.
        model: see ``SiglipExtractor``.
        detector: see ``SiglipExtractor``; joints are looked for in the whole picture all the same.
    """

    kind: Literal["keypoints+siglip"]
    model: str
    detector: str = "none"


@dataclass(frozen=True, kw_only=True)
class OtherExtractor:
    """Any other extractor of ``slt.core.registry.FRONTENDS``, learnt from its stored features.

    Attributes:
        kind: its name in that table.
        model: a bundle's name or folder, or the folder of a model; None: it needs none.
        detector: face detector; None: the model's own.
    """

    KINDS: ClassVar = FRONTENDS

    kind: str
    model: str | None = None
    detector: str | None = None


Extractor: TypeAlias = (
    SignHieraExtractor
    | KeypointExtractor
    | WholebodyExtractor
    | SiglipExtractor
    | KeypointSiglipExtractor
    | OtherExtractor
)


ON_NUMBERS = ("sonar-t5", "mlp")
ENCODERS_OF = {
    "signhiera": (*ON_NUMBERS, ""),
    "keypoints": ("transformer",),
    "wholebody": ("stgcn",),
    "keypoints+siglip": ("fusion",),
}
"""Who takes which features: NaN, where a joint is not seen, means something to those on keypoints alone."""


def complaint_about_pair(extractor: Extractor, encoder: str, *, stored: bool) -> str | None:
    """Describe why an extractor's features cannot be learnt from, as far as the recipe tells.

    Args:
        extractor: what makes them.
        encoder: kind of the encoder that is to take them.
        stored: they lie in stores, for training and validation.

    Returns:
        None where they can be.
    """
    kind = extractor.kind
    takers = ENCODERS_OF.get(kind, ON_NUMBERS)
    if encoder not in takers:
        return f"extractor {kind} with encoder {encoder or 'none'}: its features are for {' or '.join(takers)}"
    if kind != "signhiera" and not stored:
        return f"extractor {kind} learns from stored features: give data.train.features and data.val.features"
    return None
