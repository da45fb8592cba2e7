"""What a hub's model page offers: files, sizes and licence; fetch files of it by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from slt.assets.fetch import fetch
from slt.assets.published import HUB, PublishedFile, address, files_folder
from slt.assets.web import TryAgainError, ask, opener
from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.home import is_offline
from slt.core.registry import did_you_mean

PAGE = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
REVISION = re.compile(r"[0-9a-f]{7,64}")
MOST_BYTES = 20_000_000
"""Of the description of a page; the longest lists of files take a few MB."""

TIMEOUT_S = 30.0
UNKNOWN = "unknown: its page names none"


@dataclass(frozen=True, kw_only=True)
class HubPage:
    """A model page of the hub, at one revision.

    Attributes:
        name: OWNER/NAME.
        revision: the commit that its files are of.
        licence: as the page names it.
        sizes: file → bytes; None: not told.
        gated: files are given only to those who accepted its terms there.
    """

    name: str
    revision: str
    licence: str
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    gated: bool = False


def is_page(name: str) -> bool:
    """Return whether a name is of the form OWNER/NAME."""
    return PAGE.fullmatch(name) is not None


def page_folder(name: str) -> Path:
    """Return where files of a page lie, ``SLT_HOME/files/OWNER--NAME``; the folder need not exist."""
    return files_folder(name.replace("/", "--"))


def read_page(name: str, *, mirror: str | None = None) -> HubPage:
    """Ask the hub what a model page offers.

    Args:
        name: OWNER/NAME.
        mirror: an address that answers as the hub does; ``SLT_MIRROR`` when None.

    Raises:
        UserError: a name of another form, no network allowed, or a mirror or proxy that is wrong.
        SltError: the hub does not answer, has no such page, or describes it otherwise than expected.
    """
    if not is_page(name):
        raise UserError(f"found the page {name!r}, expected OWNER/NAME, as in ZechengLi19/Uni-Sign")
    if is_offline():
        raise UserError(f"SLT_OFFLINE is set; {name} is described on the hub alone", fix="unset SLT_OFFLINE")
    url = address(_file(f"{HUB}/api/models/{name}", "description", None), mirror) + "?blobs=true"
    try:
        with ask(opener(), url, {"Accept": "application/json"}, TIMEOUT_S) as answer:
            content = answer.read(MOST_BYTES + 1)
    except (TryAgainError, OSError) as error:
        raise SltError(f"{url}: {error}", fix="run the same command again") from error
    try:
        return _page(name, json.loads(content))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SltError(f"{url} does not describe a model page: {error!r}", fix="look at the page itself") from error


def fetch_from_page(
    page: HubPage, names: Sequence[str], *, to: Path | None = None, mirror: str | None = None, progress: Any = None
) -> list[Path]:
    """Fetch files of a page, at its revision, after showing its licence; see ``slt.assets.fetch``.

    Args:
        page: of ``read_page``.
        names: files, as the page names them; a file in a folder of the page keeps its own name only.
        to: the folder; ``page_folder`` when None.
        mirror: as for ``read_page``.
        progress: called with a file's name, its bytes that are here, and its size if known.

    Returns:
        the files.

    Raises:
        UserError: the page has no such file, gives it only to those who accepted its terms, or as for ``fetch``.
        SltError: as for ``fetch``.
    """
    if unknown := [name for name in names if name not in page.sizes]:
        raise UserError(
            f"the page {page.name} has no {', '.join(unknown)}",
            fix=did_you_mean(unknown[0], page.sizes) or f"slt models fetch --page {page.name} lists what it has",
        )
    if page.gated:
        raise UserError(
            f"the page {page.name} gives its files only to those who accepted its terms",
            fix=f"accept them there, download {', '.join(names)} yourself, and give the path",
        )
    base = f"{HUB}/{page.name}/resolve/{page.revision}"
    files = [_file(f"{base}/{quote(name)}", PurePosixPath(name).name, page.sizes[name]) for name in names]
    folder = to or page_folder(page.name)
    log.say(f"{page.name}, revision {page.revision[:12]}, licence: {page.licence}")
    for file in files:
        log.say(f"  {file.name}  {log.size(file.about_bytes)}")
    log.say(f"  from {urlsplit(address(files[0], mirror)).netloc} to {folder}")
    log.say("  by fetching these files you accept the licence; it and their checksums are recorded beside them")
    fetch(files, folder, licence=page.licence, mirror=mirror, progress=progress)
    return [folder / file.name for file in files]


def _file(url: str, name: str, size: int | None) -> PublishedFile:
    return PublishedFile(name=name, url=url, about_bytes=size or 0, summary=name)


def _page(name: str, content: Mapping[str, Any]) -> HubPage:
    """Read the hub's description; every file name must stay inside a folder."""
    sizes: dict[str, int | None] = {}
    for one in content["siblings"]:
        path, size = PurePosixPath(one["rfilename"]), one.get("size")
        if path.is_absolute() or ".." in path.parts or not path.name.isprintable():
            raise ValueError(f"the file name {one['rfilename']!r}")
        sizes[str(path)] = size if isinstance(size, int) and size >= 0 else None
    if not REVISION.fullmatch(revision := content["sha"]):
        raise ValueError(f"the revision {revision!r}")
    return HubPage(
        name=name,
        revision=revision,
        licence=_licence(content),
        sizes=sizes,
        gated=bool(content.get("gated")),
    )


def _licence(content: Mapping[str, Any]) -> str:
    card = content.get("cardData") or {}
    named = [tag.partition(":")[2] for tag in content.get("tags", ()) if str(tag).startswith("license:")]
    found = card.get("license_name") or card.get("license") or (named[0] if named else None)
    words = " ".join(str(found).split())[:200] if found else UNKNOWN
    return f"{words}, {link}" if found and (link := card.get("license_link")) and str(link).isprintable() else words
