"""``slt models``: which models there are, whether their files are whole, and new ones from published files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="See which models there are, check their files, import new ones.")


@app.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per model, each on a line.")] = False,
) -> None:
    """List the models that `slt translate --model` knows by name: name, languages, licence, summary.

    Example: slt models list --json
    """
    from json import dumps

    from slt import log
    from slt.assets.cards import read_card
    from slt.assets.store import list_bundles

    bundles = list_bundles()

    def line(name: str) -> str:
        card = read_card(bundles[name])
        if not json:
            return "\t".join([name, ",".join(card.languages), card.licence, card.summary])
        about = {"languages": card.languages, "licence": card.licence, "summary": card.summary}
        return dumps({"name": name, "folder": str(bundles[name]), **about}, ensure_ascii=False)

    _print_each(list(bundles), line)
    if not bundles:
        log.say("no models are here; `slt demo --train` makes one")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]", help="Models, by name or folder; without any, all.")
    ] = None,
) -> None:
    """Compare every file of a model with the hash in its card.

    Example: slt models verify demo
    """
    from slt.assets.store import find_bundle, list_bundles

    def line(name: str) -> str:
        bundle = find_bundle(name)
        bundle.verify()
        return f"{name}\tok\t{len(bundle.card.files)} files"

    _print_each(names or list(list_bundles()), line)


@app.command("import")
def import_files(
    name: Annotated[str, typer.Option(metavar="NAME", help="What slt translate --model is to call it.")],
    signhiera: Annotated[Path, typer.Option(metavar="FILE", help="The video feature extractor.")],
    sign_encoder: Annotated[Path, typer.Option(metavar="FILE", help="The SONAR sign encoder.")],
    text_encoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's text encoder; not needed to translate.")
    ] = None,
    text_decoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's text decoder; if absent, the one fetched earlier.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SONAR's tokenizer; if absent, the one fetched earlier.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON with all that is not as in the published models.")
    ] = None,
) -> None:
    """Make a model that slt translate can use of published files, whichever layout they have.

    Torch checkpoints and safetensors files are read; nothing in them is run. Every weight must be known and of the
    right shape. With --config, sizes, preprocessing, languages, licence and summary may differ from the published
    model's.

    Example: slt models import --name mine --signhiera dm_70h_ub_signhiera.pth
    --sign-encoder dm_70h_ub_sonar_encoder.pth --text-decoder sonar_text_decoder.pt
    --tokenizer sentencepiece.source.256000.model
    """
    from slt import log
    from slt.importing import ImportConfig, find_sources, import_bundle, read_config

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


def _print_each(names: Sequence[str], line: Callable[[str], str]) -> None:
    """Print a line for every model; those that have none, because something is wrong with them, come at the end."""
    from slt import log
    from slt.errors import SltError
    from slt_cli.failures import ItemsFailed

    failures: list[tuple[str, SltError]] = []
    for name in names:
        try:
            log.result(line(name))
        except SltError as error:
            failures.append((name, error))
    if failures:
        raise ItemsFailed(failures, total=len(names), what="models")
