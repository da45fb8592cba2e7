"""The card of a bundle: models, files, hashes and provenance."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.registry import DECODERS, ENCODERS, FRONTENDS, did_you_mean

CARD_NAME = "card.json"
WITHOUT_WEIGHTS = "keypoints"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class PreprocessCard:
    """How a video becomes windows; the defaults are the published model's.

    Attributes:
        num_frames: sampled frames in a window.
        sampling_rate: raw frames, at ``target_fps``, per sampled frame.
        target_fps: frames per second that windows are planned for.
        stride_frames: sampled frames from the start of a window to the start of the next.
        size: height and width of what is cut out of a frame, in pixels.
        detector: how the signer is found, by name.
    """

    num_frames: int = 128
    sampling_rate: int = 2
    target_fps: float = 25.0
    stride_frames: int = 64
    size: int = 224
    detector: str = "dlib-hog"

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in dataclasses.asdict(self).items() if name != "detector"}
        if wrong := [f"{name} {value}" for name, value in numbers.items() if not 0 < value < float("inf")]:
            raise UserError(f"expected positive numbers, found {', '.join(wrong)}")

    def with_detector(self, detector: str | None) -> PreprocessCard:
        """Return the same with another detector; None: with its own."""
        return dataclasses.replace(self, detector=detector or self.detector)


EVERY_FRAME = PreprocessCard(num_frames=1, sampling_rate=1, stride_frames=1, detector="none")
"""For keypoints, which move too fast for a lower rate."""


@dataclass(frozen=True, kw_only=True)
class _ModelCard:
    """One model of a bundle.

    Attributes:
        kind: its name in the table of its kind.
        config: what its configuration class takes; of keypoints, the skeleton that they are converted from.
        weights: the file of its weights, a path inside the bundle.
    """

    kind: str
    config: Mapping[str, Any]
    weights: str


@dataclass(frozen=True, kw_only=True)
class ExtractorCard:
    """What turns a video into features.

    Attributes:
        kind: its name in the table of its kind.
        config: what its configuration class takes; of keypoints, the skeleton that they are converted from, and
            the unit of x and y.
        weights: the file of its weights, a path inside the bundle; None: it has none, as keypoints, whose model is
            MediaPipe's own.
    """

    kind: str
    config: Mapping[str, Any]
    weights: str | None

    def __post_init__(self) -> None:
        _check_kind(self.kind, FRONTENDS)
        if self.kind == WITHOUT_WEIGHTS and (self.weights is not None or set(self.config) - {"skeleton", "unit"}):
            raise UserError(
                f"{self.kind} have no model here: expected no weights, and no config but their skeleton and unit"
            )


@dataclass(frozen=True, kw_only=True)
class EncoderCard(_ModelCard):
    """The model that turns features into a sentence embedding."""

    def __post_init__(self) -> None:
        _check_kind(self.kind, ENCODERS)


@dataclass(frozen=True, kw_only=True)
class DecoderCard(_ModelCard):
    """The model that turns a sentence embedding into text.

    Attributes:
        tokenizer: the file of its tokenizer.
        text_encoder: the file of the weights that turn text into embeddings; not needed to translate.
    """

    tokenizer: str
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        _check_kind(self.kind, DECODERS)


@dataclass(frozen=True, kw_only=True)
class DomainCard:
    """What tells videos like those the bundle was trained on from others.

    Attributes:
        weights: the file of the description, made by ``slt.models.out_of_domain``.
        summary: what the bundle knows; ends the warning about a video that is something else.
    """

    weights: str
    summary: str


@dataclass(frozen=True, kw_only=True)
class ConfidenceCard:
    """How the agreement of a text with its video relates to the text's being right: a logistic curve.

    Attributes:
        slope: of the agreement, a cosine.
        bias: added to it.
        fitted_on: what right and wrong texts it was fitted on.
    """

    slope: float
    bias: float
    fitted_on: str


@dataclass(frozen=True, kw_only=True)
class BundleCard:
    """Everything about a bundle but its weights.

    Attributes:
        format: of the card itself.
        name: of the bundle.
        summary: one sentence on what it translates.
        licence: of the weights, as an SPDX name where there is one.
        languages: FLORES-200 codes of the languages it writes.
        preprocess: how videos are cut up for it.
        extractor: windows to features.
        encoder: features to a sentence embedding.
        decoder: sentence embedding to text.
        domain: what it was trained on, where that was noted.
        confidence: how far its texts can be trusted, where that was measured.
        made: how it was made: seeds, data, scores; anything.
        sha256: of every file, in hexadecimal.
    """

    format: int = FORMAT
    name: str
    summary: str
    licence: str
    languages: tuple[str, ...]
    preprocess: PreprocessCard
    extractor: ExtractorCard
    encoder: EncoderCard
    decoder: DecoderCard
    domain: DomainCard | None = None
    confidence: ConfidenceCard | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mistakes = [f"{file!r} is no path inside the bundle" for file in self.files if not _stays_inside(file)]
        mistakes += [f"sha256 of {name} is none" for name, digest in self.sha256.items() if not _is_sha256(digest)]
        if not self.name or not self.languages:
            mistakes.append("name and languages must not be empty")
        if mistakes:
            raise UserError("; ".join(mistakes))

    @property
    def files(self) -> tuple[str, ...]:
        """The files the card names, each a path inside the bundle's folder."""
        models = self.extractor.weights, self.encoder.weights, self.decoder.weights
        rest = self.decoder.text_encoder, self.decoder.tokenizer, self.domain and self.domain.weights
        return (*(file for file in models if file is not None), *(file for file in rest if file))


def read_card(folder: Path) -> BundleCard:
    """Read the card of the bundle in ``folder``.

    Raises:
        UserError: there is none, or it has mistakes; all are reported.
    """
    path = folder / CARD_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", fix=f"name a folder with a {CARD_NAME}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", fix="fetch or make the bundle again") from error
    # Before all else: the rest of another format says nothing.
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise UserError(
            f"{path} has the format {content.get('format')!r}; this version of slt reads format {FORMAT}",
            fix="use the version of slt that the bundle was made with, or a newer one",
        )
    return parse(BundleCard, content, where=str(path))


def write_card(folder: Path, card: BundleCard) -> BundleCard:
    """Write a card beside its files, which must be there already; their hashes are taken now.

    Returns:
        the card with the hashes, as written.

    Raises:
        UserError: a file that the card names is not in ``folder``.
    """
    if missing := [file for file in card.files if not (folder / file).is_file()]:
        raise UserError(f"{folder} lacks {', '.join(missing)}, which its card names")
    card = dataclasses.replace(card, sha256={file: sha256_of(folder / file) for file in card.files})
    with atomic_write(folder / CARD_NAME) as file:
        file.write(card_text(card).encode())
    return card


def card_text(card: BundleCard) -> str:
    """Return a card as its file has it."""
    return json.dumps(dataclasses.asdict(card), indent=2, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_model_hash(card: BundleCard) -> str:
    """Return the hash of all that a bundle's text embeddings depend on: the text encoder's weights, the tokenizer."""
    files = (card.decoder.text_encoder or "", card.decoder.tokenizer)
    return hashlib.sha256("".join(card.sha256[file] for file in files).encode()).hexdigest()


def _check_kind(kind: str, table: Mapping[str, str]) -> None:
    if kind not in table:
        hint = did_you_mean(kind, table)
        raise UserError(f"unknown kind {kind!r}, known: {', '.join(table)}" + (f"; {hint}" if hint else ""))


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(file) and not path.is_absolute() and ".." not in path.parts and "\\" not in file


def _is_sha256(digest: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", digest) is not None
