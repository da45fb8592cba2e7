"""``slt models``: list, find, remove and verify models; its other commands have a file each."""

from __future__ import annotations

from typing import Annotated

import typer

from slt_cli.commands import Commands
from slt_cli.failures import print_each
from slt_cli.models_fetch import fetch
from slt_cli.models_import import import_files
from slt_cli.models_push import push

SHOWN_LANGUAGES = 8  # more are counted

app = typer.Typer(cls=Commands, no_args_is_help=True, help="List, fetch, import and verify models.")


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

    print_each([*bundles, *(name for name in PUBLISHED if name not in bundles)], line, what="models")
    if not bundles:
        log.say("no model is ready here; `slt demo --train` makes one")


app.command()(fetch)


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

    print_each(names, lambda name: "\n".join(f"{name}\t{folder}" for folder in remove_model(name)), what="models")


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

    print_each(names or list(list_bundles() | list_fetched()), line, what="models")


app.command("import")(import_files)
app.command()(push)
