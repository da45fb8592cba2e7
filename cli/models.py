"""``slt models``: list, fetch, import and verify models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SHOWN_LANGUAGES = 8  # more are counted

app = typer.Typer(no_args_is_help=True, help="List, fetch, import and verify models.")


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per model, each on a line.")] = False,
) -> None:
    """List the models that have a name: name, languages, licence, summary, and whether they are here.

    `ready`: slt translate --model takes it; `fetched`: its published files are here; `not fetched`: they can be. A
    model that was used in half precision says which copies of its weights are kept, and their size.

    Example: slt models list --json
    """
    from json import dumps

    from slt.assets.cards import read_card
    from slt.assets.published import PUBLISHED, files_folder, is_fetched
    from slt.assets.store import list_bundles, list_copies
    from slt.core import log
    from slt.text.languages import LANGUAGE_NAMES

    bundles = list_bundles()

    def line(name: str) -> str:
        if name in bundles:
            card, folder, state = read_card(bundles[name]), bundles[name], "ready"
            languages, licence, summary = card.languages, card.licence, card.summary
            copies = list_copies(folder)
        else:
            copies = {}
            folder, state = files_folder(name), "fetched" if is_fetched(name) else "not fetched"
            licence, summary, languages = PUBLISHED[name].licence, PUBLISHED[name].summary, tuple(LANGUAGE_NAMES)
        if not json:
            few = ",".join(languages) if len(languages) <= SHOWN_LANGUAGES else f"{len(languages)} languages"
            kept = "".join(f", copy in {dtype} {log.size(size)}" for dtype, size in copies.items())
            return "\t".join([name, few, licence, summary, state + kept])
        about = {"languages": languages, "licence": licence, "summary": summary, "state": state, "copies": copies}
        return dumps({"name": name, "folder": str(folder), **about}, ensure_ascii=False)

    _print_each([*bundles, *(name for name in PUBLISHED if name not in bundles)], line)
    if not bundles:
        log.say("no model is ready here; `slt demo --train` makes one")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]",
            help="sonar-asl, which comes if none is named; hf:OWNER/NAME[@REVISION], a model on the Hugging Face hub; "
            "dlib-cnn, a face detector; blaser, for slt evaluate; t5-small, mbart-large-50 and others "
            "of their kind, for slt train-translator.",
        ),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Fetch from there, where the same paths lie; else SLT_MIRROR.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Fetch to this folder, to carry it to a machine offline.")
    ] = None,
    with_text_encoder: Annotated[
        bool, typer.Option("--with-text-encoder", help="Also what turns text into embeddings; training needs it.")
    ] = False,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="List the files and the licence of a model page of the hub; fetch those named."
        ),
    ] = None,
) -> None:
    """Fetch the published files of a model, or a model on the Hugging Face hub, after showing sizes and licences.

    Existing files are verified instead. An interrupted fetch resumes when it is run again.
    HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured; SLT_OFFLINE=1 forbids every connection. A model on the hub
    comes at the newest commit of its revision, and is ready for --model; HF_ENDPOINT and HF_TOKEN are honoured.

    Example: slt models fetch sonar-asl

    Example: slt models fetch hf:OWNER/NAME --to a-folder

    Example: slt models fetch --page ZechengLi19/Uni-Sign
    """
    from slt.assets.hub_fetch import fetch_hub_model
    from slt.assets.hub_names import HubName, parse_hub_name
    from slt.assets.models import fetch_model
    from slt.assets.published import PUBLISHED
    from slt.core import log
    from slt.core.errors import UserError

    if page is not None:
        if mirror is not None or with_text_encoder:
            raise UserError(
                "--page takes neither --mirror nor --with-text-encoder", fix="let HF_ENDPOINT name a mirror"
            )
        _fetch_from_page(page, names or [], to)
        return

    def from_hub(hub: HubName) -> str:
        if mirror is not None or with_text_encoder:
            option = "--mirror" if mirror is not None else "--with-text-encoder"
            raise UserError(f"{option} is not for models on the hub", fix="let HF_ENDPOINT name the mirror of a hub")
        with log.bars() as bars:
            folder = fetch_hub_model(hub, to=to, progress=bars.update)
        log.say(f"translate with: slt translate VIDEO --model {to or hub}")
        return f"{hub}\t{folder}"

    def line(name: str) -> str:
        if hub := parse_hub_name(name):
            return from_hub(hub)
        with log.bars() as bars:
            folder = fetch_model(name, to=to, mirror=mirror, text_encoder=with_text_encoder, progress=bars.update)
        if to is None and name in PUBLISHED:
            log.say(f"next: slt models import --name {name}")
        return f"{name}\t{folder}"

    _print_each(names or list(PUBLISHED), line)


def _fetch_from_page(page: str, names: Sequence[str], to: Path | None) -> None:
    """List what a page offers, or fetch files of it."""
    from slt.assets.hub_page import fetch_from_page, page_name, read_page
    from slt.core import log

    offer = read_page(page_name(page))
    if not names:
        for file in offer.files.values():
            log.result(f"{file.name}\t{log.size(file.size)}")
        log.say(f"{offer.name} at commit {offer.commit[:12]}, licence: {offer.licence}")
        log.say(f"next: slt models fetch --page {offer.name.repo} FILE")
        return
    with log.bars() as bars:
        for path in fetch_from_page(offer, names, to=to, progress=bars.update):
            log.result(str(path))


@app.command()
def path(name: Annotated[str, typer.Argument(metavar="NAME", help="A name that slt models list knows.")]) -> None:
    """Print the folder in which a model lies.

    Example: slt models path demo
    """
    from slt.assets.store import find_folder
    from slt.core import log

    log.result(str(find_folder(name)))


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names that slt models list knows.")],
) -> None:
    """Remove models from SLT_HOME, with the files they were fetched as; prints the folders that are gone.

    Example: slt models rm sonar-asl
    """
    from slt.assets.store import remove_model

    _print_each(names, lambda name: "\n".join(f"{name}\t{folder}" for folder in remove_model(name)))


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]", help="Models, by name or folder; without any, all.")
    ] = None,
) -> None:
    """Compare every file of a model with its recorded hash: those of its bundle, and those it was fetched as.

    Example: slt models verify demo
    """
    from slt.assets.store import list_bundles, list_fetched, verify_model

    def line(name: str) -> str:
        return f"{name}\tok\t{verify_model(name)} files"

    _print_each(names or list(list_bundles() | list_fetched()), line)


class Kind(StrEnum):
    """Published systems that can be imported."""

    sonar = "sonar"
    uni_sign = "uni-sign"


@app.command("import")
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


@app.command()
def push(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or a bundle by name or folder.")],
    name: Annotated[str, typer.Argument(metavar="hf:OWNER/NAME", help="Where to share it.")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is seen by its owner alone.")] = False,
    licence: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Licence, such as apache-2.0; default: the one the model inherits."),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="What slt evaluate --out wrote of it; default: all that lies in the run."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model card and list the files; send nothing.")
    ] = False,
) -> None:
    """Share a model on the Hugging Face hub: its bundle, and a model card written from its card and results.

    The licence of everything it was made of is inherited: what was made of CC-BY-NC weights stays CC-BY-NC. Log in with
    `hf auth login`, or let HF_TOKEN hold a token; it is never printed. Absolute paths of this machine are left out of
    what is shared.

    Example: slt models push runs/how2sign hf:OWNER/NAME --results scores --private
    """
    from slt.assets.hub_client import endpoint
    from slt.assets.hub_names import parse_hub_name
    from slt.core import log
    from slt.core.errors import UserError
    from slt.sharing.push import pack
    from slt.sharing.push import push as upload

    hub = parse_hub_name(name)
    if hub is None:
        raise UserError(f"{name!r} names no model on the hub", fix="write hf:OWNER/NAME")
    parcel = pack(model, hub, licence=licence, results=results or ())
    for file, path in parcel.files.items():
        log.say(f"  {file:33} {log.size(path.stat().st_size):>8}")
    log.say(f"licence: {parcel.share.licence.name}")
    if not parcel.share.results:
        log.warn("its model card has no scores: give --results what `slt evaluate --model RUN --out DIR` wrote")
    if dry_run:
        log.result(parcel.readme)
        return
    commit = upload(parcel, private=private)
    log.say(f"translate with: slt translate VIDEO --model {hub}")
    log.result(f"{hub.at(commit)}\t{endpoint()}/{hub.repo}")


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


def _print_each(names: Sequence[str], line: Callable[[str], str]) -> None:
    """Print a line for every model; those that have none, because something is wrong with them, come at the end."""
    from slt.core import log
    from slt.core.errors import SltError
    from slt_cli.failures import ItemsFailed

    failures: list[tuple[str, SltError]] = []
    for name in names:
        try:
            if text := line(name):
                log.result(text)
        except SltError as error:
            failures.append((name, error))
    if failures:
        raise ItemsFailed(failures, total=len(names), what="models")
