"""``slt models fetch``: bring published files, or models and files of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from slt_cli.failures import print_each


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

    print_each(names or list(PUBLISHED), line, what="models")


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
