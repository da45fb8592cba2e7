"""``slt features``: inspect, import, export and compact feature stores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slt.core.errors import SltError

app = typer.Typer(no_args_is_help=True, help="Inspect, import, export and compact feature stores.")


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


@app.command()
def compact(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The store; readers may have it open.")],
    shard_mb: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Size of a merged file; the disk needs so much free space.")
    ] = 1024,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also merge files of killed writers; only when nobody is writing.")
    ] = False,
) -> None:
    """Merge the files of a store into few large ones, in place.

    Every record is checked and copied as it stands. A merged file gets its name when it is whole, and only then the old
    ones go: a kill at any moment loses nothing, and the same command goes on.

    Example: slt features compact features
    """
    from slt.core import log
    from slt.data.features.compact import compact
    from slt_cli.failures import ItemsFailed

    with log.bars() as bars:
        merged = compact(
            store,
            shard_bytes=shard_mb << 20,
            unfinished=unfinished,
            progress=lambda done, total: bars.update("MB", done >> 20, total >> 20),
        )
    for path, why in merged.left.items():
        log.warn(f"{path} is left as it is: {why}")
    repeated = f"; {merged.n_repeated} repeated entries dropped" if merged.n_repeated else ""
    log.say(f"{merged.n_clips} clips in {merged.n_after} files, before in {merged.n_before}{repeated}")
    if merged.failures:
        raise ItemsFailed(merged.failures, total=merged.n_clips + len(merged.failures), what="clips")


def _close(failures: list[tuple[str, SltError]], total: int, done: str) -> None:
    from slt.core import log
    from slt_cli.failures import ItemsFailed

    log.say(done)
    if failures:
        raise ItemsFailed(failures, total=total, what="clips")
