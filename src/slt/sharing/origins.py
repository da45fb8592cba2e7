"""What a bundle was made of, and under which licences: by its card, its run, and the hashes of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slt.assets.cards import read_card
from slt.assets.hub_fetch import PAGE_SAYS
from slt.assets.hub_names import PREFIX, find_hub_folder, parse_hub_name
from slt.assets.lockfile import read_records
from slt.assets.published import FETCHABLE, files_folder
from slt.assets.store import Bundle, list_bundles
from slt.core import log
from slt.core.errors import UserError
from slt.core.runs import ASSETS
from slt.sharing.licences import Licence, binds, settle, split_licence

_HUB_FILE = re.compile(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One thing that a bundle was made of.

    Attributes:
        name: of the model, or of the file.
        licence: of it, as far as it is known.
        part: of the bundle that it became.
    """

    name: str
    licence: str
    part: str = ""

    @property
    def hub_repo(self) -> str | None:
        """``OWNER/NAME`` on the hub, where it lies there."""
        if hub := parse_hub_name(self.name):
            return hub.repo
        files = FETCHABLE[self.name].files if self.name in FETCHABLE else ()
        found = next((match for file in files if (match := _HUB_FILE.match(file.url))), None)
        return found[1] if found else None


def find_origins(bundle: Bundle) -> tuple[Origin, ...]:
    """Return all that is known of what a bundle was made of, each thing once."""
    every = [*_by_card(bundle), *_by_run(bundle.folder.parent), *_by_hashes(bundle)]
    return tuple({(one.name, one.licence, one.part): one for one in every}.values())


def inherited_licence(bundle: Bundle, origins: tuple[Origin, ...], chosen: str | None) -> Licence:
    """Return the licence that a bundle may be shared under.

    Raises:
        UserError: its card leaves out a licence it inherits; or as for ``licences.settle``.
    """
    own = split_licence(bundle.card.licence)
    inherited = [(part, one) for one in origins for part in split_licence(one.licence)]
    for part, one in inherited:
        if binds(part) and part not in own:
            raise UserError(
                f"its card says {bundle.card.licence}, but it was made of {one.name}, which is under {part}",
                fix=f"write the licence it inherits into {bundle.folder / 'card.json'}",
            )
    return settle([*own, *(part for part, _ in inherited)], chosen)


def _by_card(bundle: Bundle) -> Iterator[Origin]:
    made_of = bundle.card.made.get("made_of")
    for one in made_of if isinstance(made_of, list) else []:
        if isinstance(one, Mapping):
            name = str(one.get("from"))
            yield Origin(name=name, licence=str(one.get("licence")), part=str(one.get("part", "")))
            if name.startswith(PREFIX) and (hub := parse_hub_name(name)) and (folder := find_hub_folder(hub)):
                yield from _by_page(name, folder)
    sources = bundle.card.made.get("sources")
    each = sources.values() if isinstance(sources, Mapping) else ()
    digests = {one.get("sha256") for one in each if isinstance(one, Mapping)}
    for name, model in FETCHABLE.items():
        if digests & {record.sha256 for record in read_records(files_folder(name)).values()}:
            yield Origin(name=name, licence=model.licence)


def _by_run(folder: Path) -> Iterator[Origin]:
    """Yield what a run noted of the weights it began with."""
    try:
        noted: Any = json.loads((folder / ASSETS).read_text("utf-8"))
    except (OSError, ValueError):
        return
    encoder = noted.get("encoder") if isinstance(noted, dict) else None
    if isinstance(encoder, dict) and encoder.get("licence"):
        yield Origin(name=str(encoder.get("weights")), licence=str(encoder["licence"]), part="encoder")


def _by_hashes(bundle: Bundle) -> Iterator[Origin]:
    """Yield the models here that have a file in common with the bundle."""
    own = set(bundle.card.sha256.values())
    for name, folder in list_bundles().items():
        if folder.resolve() == bundle.folder.resolve():
            continue
        try:
            card = read_card(folder)
        except UserError as error:
            log.warn(f"whether anything came from {name} is not known: {error.message}")
            continue
        if own & set(card.sha256.values()):
            yield Origin(name=name, licence=card.licence)
            yield from _by_page(name, folder)


def _by_page(name: str, folder: Path) -> Iterator[Origin]:
    """Yield what the page of a model on the hub said of its licence, where that was not what its card says."""
    for record in read_records(folder).values():
        _, says, page = record.licence.partition(PAGE_SAYS)
        if says:
            yield Origin(name=name, licence=page)
