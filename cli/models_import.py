"""``slt models import``: make a model of published checkpoint files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """Published systems that can be imported."""

    sonar = "sonar"
    uni_sign = "uni-sign"


def import_files(
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the model, for --model.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The checkpoint, where one file holds all: uni-sign.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="The system: SONAR's sign encoder, or pose-only Uni-Sign.")] = Kind.sonar,
    signhiera: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SignHiera; default: the fetched one."),
    ] = None,
    sign_encoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR sign encoder; default: the fetched one.")
    ] = None,
    text_encoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's text encoder; not needed to translate.")
    ] = None,
    text_decoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's text decoder; default: the fetched one.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's tokenizer; default: the fetched one.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON of settings that differ from the published models.")
    ] = None,
    text_model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="uni-sign: the mT5 whose config.json and spiece.model are taken.")
    ] = "mt5-base",
    lang: Annotated[
        str, typer.Option(metavar="CODE", help="uni-sign: the language that it writes, eng_Latn or zho_Hans.")
    ] = "eng_Latn",
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="uni-sign: of the weights; default: as recorded when fetched.")
    ] = None,
) -> None:
    """Import published checkpoint files, in any of their layouts, as a model.

    Torch checkpoints and safetensors files are read; nothing in them is run. Every weight must be known and of the
    right shape. With --config, sizes, preprocessing, languages, licence and summary may differ from the published
    model's.

    Example: slt models import --name mine --signhiera dm_70h_ub_signhiera.pth
    --sign-encoder dm_70h_ub_sonar_encoder.pth --text-decoder sonar_text_decoder.pt
    --tokenizer sentencepiece.source.256000.model

    Example: slt models import --kind uni-sign --name uni-sign how2sign_pose_only_slt.pth
    """
    from slt.bundle.convert import ImportConfig, find_sources, import_bundle, read_config
    from slt.core import log

    parts = {
        "--signhiera": signhiera,
        "--sign-encoder": sign_encoder,
        "--text-encoder": text_encoder,
        "--text-decoder": text_decoder,
        "--tokenizer": tokenizer,
        "--config": config,
    }
    _check_import(kind, file, [option for option, path in parts.items() if path])
    if file is not None:
        _import_unisign(name, file, text_model, lang, licence)
        return
    settings = read_config(config) if config else ImportConfig()
    sources = find_sources(
        signhiera=signhiera,
        sign_encoder=sign_encoder,
        text_encoder=text_encoder,
        text_decoder=text_decoder,
        tokenizer=tokenizer,
    )
    for part, path in sources.files.items():
        log.say(f"{part.replace('_', ' ')}: {path}")
    with log.bars() as bars:
        folder = import_bundle(name, sources, settings, progress=bars.update)
    log.say(f"licence: {settings.licence}; translate with: slt translate VIDEO --model {name}")
    log.result(f"{name}\t{folder}")


def _check_import(kind: Kind, file: Path | None, given: Sequence[str]) -> None:
    """Check that the files given are those that the kind is imported from."""
    from slt.core.errors import UserError

    if kind is Kind.uni_sign:
        if file is None:
            raise UserError(
                "no checkpoint given; expected the file that holds all of a pose-only Uni-Sign",
                fix="slt models import --kind uni-sign --name NAME FILE",
            )
        if given:
            raise UserError(f"{', '.join(given)}: parts of a SONAR model, found beside --kind uni-sign")
    elif file is not None:
        raise UserError(
            f"found the file {file} without an option that says which part it is",
            fix="give --signhiera, --sign-encoder, --text-decoder and --tokenizer; or --kind uni-sign",
        )


def _import_unisign(name: str, file: Path, text_model: str, lang: str, licence: str | None) -> None:
    from slt.assets.store import find_bundle
    from slt.assets.text_models import find_text_model
    from slt.bundle.unisign import import_unisign
    from slt.core import log

    folder = find_text_model(text_model, weights=False)
    log.say(f"checkpoint: {file}; configuration and tokenizer: {folder}")
    with log.bars() as bars:
        made = import_unisign(name, file, folder, lang=lang, licence=licence, progress=bars.update)
    log.say(f"licence: {find_bundle(made).card.licence}; translate with: slt translate VIDEO --model {name}")
    log.result(f"{name}\t{made}")
