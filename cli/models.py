"""``slt models``: which models there are, and whether their files are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="See which models there are, and whether their files are whole.")


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
