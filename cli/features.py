"""``slt features``: inspect, import and export feature stores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slt.core.errors import SltError

app = typer.Typer(no_args_is_help=True, help="Inspect, import and export feature stores.")


class Format(StrEnum):
    """How one clip's features are written to a file."""

    npy = "npy"
    pt = "pt"


@app.command()
def info(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store, or a folder of <id>.npy or <id>.pt.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read and verify everything.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a feature store: number, width, extractor and settings.

    Example: slt features info features --verify
    """
    from json import dumps

    from slt.core import log
    from slt.data.features.open import open_features
    from slt.data.features.transfer import describe, read_all
    from slt_cli.failures import ItemsFailed

    features = open_features(store)
    facts = describe(features)
    if json:
        log.result(dumps(facts, ensure_ascii=False))
    else:
        for name, value in facts.items():
            log.result(f"{name}\t{value}")
    if verify and (failures := read_all(features)):
        raise ItemsFailed(failures, total=len(features), what="clips")


@app.command()
def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The store.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where <id>.npy or <id>.pt are written.")],
    format: Annotated[Format, typer.Option(help="NumPy's files, or torch's.")] = Format.npy,
) -> None:
    """Write the features of a store as one file per clip; existing files are kept.

    Example: slt features export features --out files --format npy
    """
    from slt.core import log
    from slt.data.features.open import open_features
    from slt.data.features.transfer import export_files

    features = open_features(store)
    with log.bars() as bars:
        failures = export_files(features, out, format.value, lambda done, total: bars.update("clips", done, total))
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


@app.command("import")
def import_(
    files: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of <id>.npy or <id>.pt, folders below it too; or a store."),
    ],
    out: Annotated[Path, typer.Option(metavar="STORE", help="The store; clips in it are kept.")],
) -> None:
    """Import one file per clip into a store, or a store into another, which merges its files.

    Example: slt features import files --out features
    """
    from slt.core import log
    from slt.data.features.open import open_features
    from slt.data.features.transfer import import_all

    features = open_features(files)
    with log.bars() as bars:
        failures = import_all(features, out, lambda done, total: bars.update("clips", done, total))
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


def _close(failures: list[tuple[str, SltError]], total: int, done: str) -> None:
    from slt.core import log
    from slt_cli.failures import ItemsFailed

    log.say(done)
    if failures:
        raise ItemsFailed(failures, total=total, what="clips")
