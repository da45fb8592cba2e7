"""``slt models push``: share a model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
