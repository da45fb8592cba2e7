"""Fetch all files of a published model, after showing sizes and licences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from slt.assets.fetch import fetch
from slt.assets.published import PublishedFile, PublishedModel, address, files_folder, find_published
from slt.core import log

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what comes, how many megabytes of it are here, and how many there will be (None: unknown)."""


def fetch_model(
    name: str,
    *,
    to: Path | None = None,
    mirror: str | None = None,
    text_encoder: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Check that the files of a published model are here, whole and as they first came; see ``slt.assets.fetch``.

    Args:
        name: a key of ``FETCHABLE``.
        to: the folder; ``SLT_HOME/files/<name>`` when None.
        mirror: an address that holds the same paths as the authors' host; ``SLT_MIRROR`` when None.
        text_encoder: also what turns text into embeddings, which training and ranking need.
        progress: called with each file.

    Returns:
        the folder.

    Raises:
        UserError: no such model, a file that changed, no network allowed, or a mirror or proxy that is wrong.
        SltError: a server does not give a file, or the disk is full.
    """
    model, folder = find_published(name), to or files_folder(name)
    files = model.choose(text_encoder=text_encoder)
    _announce(f"{name}: {model.summary}", model, files, source=address(files[0], mirror), folder=folder)

    def in_megabytes(file: str, here: int, size: int | None) -> None:
        total = size and -(-size // 10**6)
        if progress:
            progress(f"{file}, MB", here // 10**6 if here != size else total or 0, total)

    fetch(files, folder, licence=model.notice, mirror=mirror, progress=in_megabytes)
    return folder


def _announce(what: str, model: PublishedModel, files: Sequence[PublishedFile], *, source: str, folder: Path) -> None:
    log.say(what)
    for file in files:
        log.say(f"  {file.name:33} about {log.size(file.about_bytes):>8}  {file.summary}")
    total = log.size(sum(file.about_bytes for file in files))
    log.say(f"  about {total} in all, from {urlsplit(source).netloc} to {folder}")
    log.say(f"  licence: {model.notice}")
    log.say("  by fetching these files you accept it; that, and their checksums, are recorded beside them")
    if urlsplit(source).scheme == "http":
        log.warn("this mirror is not encrypted: files fetched for the first time cannot be authenticated")
