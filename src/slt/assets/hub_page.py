"""What a model page of the hub offers: files, sizes and licence; fetch single files of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from slt.assets.cards import sha256_of
from slt.assets.download import check_space
from slt.assets.hub_client import check_online, connect, endpoint, printable
from slt.assets.hub_names import PREFIX, HubName, is_commit, parse_hub_name
from slt.assets.hub_transfer import HubFile, bring, patiently
from slt.assets.lock import folder_lock
from slt.assets.lockfile import FetchedFile, add_record, check_file, read_records
from slt.assets.models import Progress
from slt.assets.published import files_folder
from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.files import flush_to_disk
from slt.core.registry import did_you_mean

UNKNOWN = "unknown: its page names none"
PARTS = ".parts"
"""Where files lie until they are whole."""


@dataclass(frozen=True, kw_only=True)
class HubPage:
    """A model page of the hub, at one commit.

    Attributes:
        name: of the page.
        commit: that its files are of.
        licence: as the page names it.
        files: its files by name; the sha256 is empty where the hub lists none.
    """

    name: HubName
    commit: str
    licence: str
    files: Mapping[str, HubFile] = field(default_factory=dict)


def page_name(text: str) -> HubName:
    """Return the page that ``OWNER/NAME[@REVISION]`` names, with or without ``hf:``.

    Raises:
        UserError: it names none.
    """
    name = parse_hub_name(text if text.startswith(PREFIX) else f"{PREFIX}{text}")
    assert name is not None  # it begins with the prefix
    return name


def page_folder(name: HubName) -> Path:
    """Return where files of a page lie, ``SLT_HOME/files/OWNER--NAME``; the folder need not exist."""
    return files_folder(name.repo.replace("/", "--"))


def read_page(name: HubName) -> HubPage:
    """Ask the hub what a model page offers.

    Raises:
        UserError: there is no such page, it is not this user's to read, or no network is allowed.
        SltError: the hub does not answer, or gives names that cannot be those of files.
    """
    check_online(name)
    api = connect()
    info = patiently(name, lambda: api.model_info(name.repo, revision=name.revision, files_metadata=True, timeout=30.0))
    if not is_commit(commit := str(info.sha)):
        raise SltError(f"{endpoint()} gives {name} a commit that is none: {printable(commit):.60}")
    card = info.card_data.to_dict() if info.card_data else {}
    named = card.get("license_name") or card.get("license")
    licence = ", ".join(str(one) for one in (named, card.get("license_link")) if one) if named else UNKNOWN
    files = {
        one.rfilename: HubFile(name=one.rfilename, size=one.size or 0, sha256=one.lfs.sha256 if one.lfs else "")
        for one in info.siblings or ()
    }
    if odd := [file for file in files if not _is_plain(file)]:
        raise SltError(f"{name} lists a file that cannot be one: {printable(odd[0]):.80}")
    return HubPage(name=name, commit=commit, licence=printable(licence)[:300], files=files)


def fetch_from_page(
    page: HubPage, names: Sequence[str], *, to: Path | None = None, progress: Progress | None = None
) -> list[Path]:
    """Fetch files of a page, after showing its licence; what is here already is verified instead.

    Args:
        page: of ``read_page``.
        names: files, as the page names them; here each lies under its own name, without the page's folders.
        to: the folder; ``page_folder`` when None.
        progress: called with each file.

    Returns:
        the files.

    Raises:
        UserError: the page has no such file, one that is here has changed, or this user may not read or write it.
        SltError: the hub gives another file than it lists, or the disk is full.
    """
    if unknown := [name for name in names if name not in page.files]:
        raise UserError(
            f"{page.name} has no {', '.join(map(printable, unknown))}",
            fix=did_you_mean(unknown[0], page.files) or f"slt models fetch --page {page.name.repo} lists its files",
        )
    folder, wanted = to or page_folder(page.name), [page.files[name] for name in names]
    log.say(f"{page.name} at commit {page.commit[:12]}, licence: {page.licence}")
    for file in wanted:
        log.say(f"  {file.name:45} {log.size(file.size):>8}")
    log.say(f"  from {endpoint()}/{page.name.repo} to {folder}")
    log.say("  by fetching these files you accept the licence; it and their checksums are recorded beside them")
    with folder_lock(folder):
        absent = [file for file in wanted if not _is_here(folder, file)]
        check_space(folder, sum(file.size for file in absent))
        for file in absent:
            _fetch_one(page, file, folder, progress)
    return [folder / PurePosixPath(file.name).name for file in wanted]


def _is_here(folder: Path, file: HubFile) -> bool:
    """Return whether a file was fetched before, as the page has it now.

    Raises:
        UserError: it changed since, or the page has another one now.
    """
    own = PurePosixPath(file.name).name
    record = read_records(folder).get(own)
    if record is None or not (folder / own).is_file():
        return False
    check_file(folder / own, record)
    if file.sha256 and file.sha256 != record.sha256:
        raise UserError(
            f"{folder / own} was fetched at {record.fetched_at}; its page has another file now",
            fix="fetch that to another folder with --to, or remove this one first",
        )
    return True


def _fetch_one(page: HubPage, file: HubFile, folder: Path, progress: Progress | None) -> None:
    """Bring a file, compare it with what the hub lists, record it, and give it its name."""
    own, parts = PurePosixPath(file.name).name, folder / PARTS
    bring(connect(), page.name, page.commit, file, parts, progress)
    path = parts / file.name
    size, digest = path.stat().st_size, sha256_of(path)
    if (file.sha256 and digest != file.sha256) or (file.size and size != file.size):
        path.unlink()
        raise SltError(
            f"{file.name} of {page.name} has {size} bytes and the sha256 {digest}; the hub lists {file.size} and "
            f"{file.sha256 or 'none'}: refused",
            fix="fetch it again",
        )
    flush_to_disk(path)
    add_record(
        folder,
        own,
        FetchedFile(
            url=f"{endpoint()}/{page.name.repo}/resolve/{page.commit}/{file.name}",
            size=size,
            sha256=digest,
            fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
            licence=page.licence,
        ),
    )
    os.replace(path, folder / own)
    flush_to_disk(folder)


def _is_plain(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(path.name) and file.isprintable() and not path.is_absolute() and not {"..", ".cache"} & set(path.parts)
