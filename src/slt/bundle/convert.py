"""Convert published checkpoints into a bundle, after checking every key."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from slt.assets.cards import (
    BundleCard,
    DecoderCard,
    EncoderCard,
    ExtractorCard,
    PreprocessCard,
    sha256_of,
    write_card,
)
from slt.assets.published import SONAR_ASL, files_folder
from slt.assets.staging import stage_bundle
from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.home import slt_home
from slt.models.checkpoint import read_weights, save_weights
from slt.models.config import SonarT5Config
from slt.models.fitting import ModelKind, build_empty, fit, rename
from slt.models.signhiera import SignHiera, SignHieraConfig
from slt.models.sonar_t5 import SonarT5
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.video.detect import DETECTORS

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done to the files, to how many it is done, and how many there are."""

FILES = {
    "signhiera": "extractor.safetensors",
    "sign_encoder": "encoder.safetensors",
    "text_encoder": "text_encoder.safetensors",
    "text_decoder": "text_decoder.safetensors",
    "tokenizer": "tokenizer.model",
}
"""The parts of a bundle, and what their files are called in it."""

FETCHED = {
    "signhiera": "dm_70h_ub_signhiera.pth",
    "sign_encoder": "dm_70h_ub_sonar_encoder.pth",
    "text_encoder": "sonar_text_encoder.pt",
    "text_decoder": "sonar_text_decoder.pt",
    "tokenizer": "sentencepiece.source.256000.model",
}
"""What the files of the published model are called where they are published, and so where they are fetched to."""

WHAT = {
    "signhiera": "SignHiera",
    "sign_encoder": "SONAR sign encoder",
    "text_encoder": "SONAR text encoder",
    "text_decoder": "SONAR text decoder",
}
# A name that only this part's weights have; the old text decoder's stands before what both old text models have.
TELLING = {
    "patch_embed.proj.weight": "signhiera",
    "projection_out.weight": "sign_encoder",
    "encoder_frontend.embed.weight": "text_encoder",
    "decoder_frontend.embed.weight": "text_decoder",
    "layers.0.encoder_attn.k_proj.weight": "text_decoder",
    "embed_tokens.weight": "text_encoder",
}
SPARE_BYTES = 2**26


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """What the checkpoints are; the defaults are the published models', and tell all that their files do not.

    Attributes:
        summary: one sentence on what the bundle translates.
        licence: of the weights, as an SPDX name where there is one.
        preprocess: how videos are cut up for it.
        signhiera: the extractor's shape.
        sign_encoder: the sign encoder's shape.
        text: the text models' shape, and their languages in the order of their tokens.

    Raises:
        UserError: the parts do not fit each other; every mistake is named.
    """

    summary: str = "Sign language to text: SignHiera, a SONAR sign encoder and SONAR's text decoder."
    licence: str = "CC-BY-NC-4.0"
    preprocess: PreprocessCard = field(default_factory=PreprocessCard)
    signhiera: SignHieraConfig = field(default_factory=SignHieraConfig)
    sign_encoder: SonarT5Config = field(default_factory=SonarT5Config)
    text: SonarTextConfig = field(default_factory=SonarTextConfig)

    def __post_init__(self) -> None:
        window = (self.preprocess.num_frames, self.preprocess.size, self.preprocess.size)
        pairs = {
            "signhiera.input_size and preprocess": (self.signhiera.input_size, window),
            "signhiera's features and sign_encoder.feature_dim": (
                self.signhiera.feature_dim,
                self.sign_encoder.feature_dim,
            ),
            "sign_encoder.output_dim and text.encoder.model_dim": (
                self.sign_encoder.output_dim,
                self.text.encoder.model_dim,
            ),
        }
        mistakes = [f"{what} differ: {one} and {other}" for what, (one, other) in pairs.items() if one != other]
        if self.preprocess.detector not in DETECTORS:
            mistakes.append(f"preprocess.detector {self.preprocess.detector!r}, known: {', '.join(DETECTORS)}")
        if mistakes:
            raise UserError("; ".join(mistakes))


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The files of one model, each a torch checkpoint or safetensors file in any published layout.

    Attributes:
        signhiera: the video feature extractor.
        sign_encoder: features to a sentence embedding.
        text_decoder: sentence embedding to text.
        tokenizer: the text models' sentencepiece model.
        text_encoder: text to a sentence embedding; not needed to translate.
    """

    signhiera: Path
    sign_encoder: Path
    text_decoder: Path
    tokenizer: Path
    text_encoder: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files there are, by part, in the order of ``FILES``."""
        return {part: path for part in FILES if (path := getattr(self, part)) is not None}

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights, by part."""
        return {part: path for part, path in self.files.items() if part != "tokenizer"}


def find_sources(
    *,
    signhiera: Path | None = None,
    sign_encoder: Path | None = None,
    text_encoder: Path | None = None,
    text_decoder: Path | None = None,
    tokenizer: Path | None = None,
) -> Sources:
    """Complete the files of a model by those of the published model that were fetched earlier.

    They lie in ``SLT_HOME/files/sonar-asl``. The fetched text encoder is taken only beside the fetched decoder: one
    of another size would fit no decoder but that.

    Raises:
        UserError: a file that translating needs is neither given nor fetched.
    """
    folder = files_folder(SONAR_ASL)
    fetched = {part: folder / file for part, file in FETCHED.items() if (folder / file).is_file()}
    if text_decoder is None:
        text_encoder = text_encoder or fetched.get("text_encoder")
    given = {
        "signhiera": signhiera,
        "sign_encoder": sign_encoder,
        "text_decoder": text_decoder,
        "tokenizer": tokenizer,
    }
    found = {part: path or fetched.get(part) for part, path in given.items()}
    if missing := [part for part, path in found.items() if path is None]:
        raise UserError(
            f"to translate, a model also needs {' and '.join(map(_option, missing))}; {folder} has none either",
            fix=f"give them, or fetch the published ones: slt models fetch {SONAR_ASL}",
        )
    return Sources(text_encoder=text_encoder, **cast(dict[str, Path], found))


def read_config(path: Path) -> ImportConfig:
    """Read an ``ImportConfig`` from a JSON file; absent keys are as published.

    Raises:
        UserError: the file cannot be read, or has mistakes; all are reported.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    return parse(ImportConfig, content, where=str(path))


def import_bundle(
    name: str, sources: Sources, config: ImportConfig | None = None, *, progress: Progress | None = None
) -> Path:
    """Make a bundle of published files, as ``SLT_HOME/bundles/NAME``; seconds, or minutes at full size.

    Every file is checked before the first is converted; then one after the other is, so that no more than one lies in
    memory. The bundle appears under its name only when complete: an import that was killed leaves none, and is repeated
    from its start. The same weights give the same files, whatever layout they came in.

    Args:
        name: of the bundle.
        sources: its files.
        config: their shapes; None for the published ones.
        progress: called with every file that was checked and converted.

    Returns:
        The bundle's folder.

    Raises:
        UserError: a name that is taken or none, or files that are not what they should be; all are reported.
        SltError: the disk is full, or failed.
    """
    config = config or ImportConfig()
    progress = progress or (lambda *_: None)
    with stage_bundle(name, n_bytes=sum(map(_size, sources.files.values())) + SPARE_BYTES) as draft:
        _check_weights(sources, config, progress)
        noted = {part: {"file": path.name, "sha256": sha256_of(path)} for part, path in sources.files.items()}
        for done, (part, path) in enumerate(sources.weights.items(), 1):
            save_weights(draft / FILES[part], _weights(part, path, sources, config))
            progress("converted", done, len(sources.weights))
        with atomic_write(draft / FILES["tokenizer"]) as copy, open(sources.tokenizer, "rb") as tokenizer:
            shutil.copyfileobj(tokenizer, copy)
        write_card(draft, _card(name, sources, config, made={"by": "slt models import", "sources": noted}))
    return slt_home() / "bundles" / name


def _size(path: Path) -> int:
    """Return the size of a file in bytes; 0 where there is none, which reading it tells better."""
    return path.stat().st_size if path.is_file() else 0


def _check_weights(sources: Sources, config: ImportConfig, progress: Progress) -> None:
    """Check that every file can be converted, so that the last is not found wrong when the others are done."""
    errors: list[UserError] = []
    for done, (part, path) in enumerate(sources.weights.items(), 1):
        try:
            _weights(part, path, sources, config)
        except UserError as error:
            errors.append(error)
        progress("checked", done, len(sources.weights))
    if errors:
        messages = dict.fromkeys(error.message for error in errors)
        fixes = dict.fromkeys(error.fix for error in errors if error.fix)
        raise UserError("\n  ".join(messages), fix="; ".join(fixes) or None)


def _weights(part: str, path: Path, sources: Sources, config: ImportConfig) -> dict[str, Tensor]:
    """Return the weights of one part as its bundle will have them; mapped, not read, where the file allows.

    Raises:
        UserError: the file cannot be read, or does not hold the weights of this part in this shape.
    """
    weights = read_weights(path)
    told = next((other for name, other in TELLING.items() if name in weights), part)
    if told != part:
        raise UserError(
            f"{path} holds the weights of a {WHAT[told]}, expected those of a {WHAT[part]}",
            fix=f"give it as {_option(told)}",
        )
    if part.startswith("text_"):
        kind = part.removeprefix("text_")
        return sonar_text().published_weights(config.text, weights, kind, sources.tokenizer, source=path)
    if part == "signhiera":
        return _fitting(SignHiera, config.signhiera, weights, path)
    return _fitting(SonarT5, config.sign_encoder, weights, path)


def _fitting(kind: type[nn.Module], config: Any, weights: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    says = cast(type[ModelKind], kind)
    model = build_empty(lambda: kind(config))
    modern = rename(weights, says.OLD_NAMES)
    return fit(model, modern, unused=says.UNUSED_WEIGHTS, source=source, name_all=True)


def _card(name: str, sources: Sources, config: ImportConfig, *, made: dict[str, Any]) -> BundleCard:
    text = {key: value for key, value in config.text.to_json().items() if key != "languages"}
    return BundleCard(
        name=name,
        summary=config.summary,
        licence=config.licence,
        languages=config.text.languages,
        preprocess=config.preprocess,
        extractor=ExtractorCard(
            kind="signhiera", config=dataclasses.asdict(config.signhiera), weights=FILES["signhiera"]
        ),
        encoder=EncoderCard(
            kind="sonar-t5", config=dataclasses.asdict(config.sign_encoder), weights=FILES["sign_encoder"]
        ),
        decoder=DecoderCard(
            kind="sonar",
            config=text,
            weights=FILES["text_decoder"],
            text_encoder=FILES["text_encoder"] if sources.text_encoder else None,
            tokenizer=FILES["tokenizer"],
        ),
        made=made,
    )


def _option(part: str) -> str:
    return "--" + part.replace("_", "-")
