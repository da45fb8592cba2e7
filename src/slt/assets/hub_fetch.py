"""Fetch models from the Hugging Face hub: safetensors, tokenizers and a card, verified, and nothing else."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from slt.assets.cards import CARD_NAME, BundleCard, read_card, sha256_of
from slt.assets.download import check_space
from slt.assets.hub_client import check_online, connect, endpoint, forbidden_by, printable, without_tokens
from slt.assets.hub_names import DRAFTS, HubName, find_hub_folder, is_commit, read_pins, write_pins
from slt.assets.hub_transfer import HubFile, bring, is_safetensors, patiently
from slt.assets.lock import folder_lock
from slt.assets.lockfile import RECORD_NAME, FetchedFile, add_record, verify_files
from slt.assets.models import Progress
from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.files import flush_to_disk, publish_folder

LARGEST_CARD = 10**6  # bytes
WEIGHTS, TOKENIZERS = (".safetensors",), (".model", ".json")
PAGE_SAYS = "; its page says "
OTHER_FILES = "ask its author for a bundle written by slt, with safetensors"
_FILE = re.compile(r"(?:[A-Za-z0-9_][\w.-]*/){0,3}[A-Za-z0-9_][\w.-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One revision of a model, as the hub offers it.

    Attributes:
        name: as asked for.
        commit: what its revision is now.
        card: the bundle's.
        files: what the card names.
        licence: of the card; and that of its page, where that is another.
        draft: the folder that its files are brought to.
    """

    name: HubName
    commit: str
    card: BundleCard
    files: tuple[HubFile, ...]
    licence: str
    draft: Path

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)


def find_or_fetch(name: HubName, progress: Progress | None = None) -> Path:
    """Return the folder of a model; fetch one that is not here, after showing its size and licence.

    A revision stays at the commit that it was fetched at, whatever the hub has by now, until ``fetch_hub_model``.

    Raises:
        UserError, SltError: as for ``fetch_hub_model``.
    """
    if here := find_hub_folder(name):
        return here
    check_online(name)
    with folder_lock(name.folder):
        if here := find_hub_folder(name):  # whoever held the lock before fetched it
            return here
        log.say(f"the model {name} is not here yet; it is fetched once")
        offer = _look_up(name, name.folder / DRAFTS)
        return _fetch(offer, name.folder / offer.commit, progress)


def fetch_hub_model(name: HubName, *, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Bring what a revision is now; one that is here already is verified instead, and the only one when offline.

    Killed at any moment, it goes on where it stopped when it is called again.

    Args:
        name: what to fetch.
        to: a folder to be, for a machine without a network; a place in ``SLT_HOME`` when None.
        progress: called with each file.

    Returns:
        the bundle's folder.

    Raises:
        UserError: no connection is allowed, there is no such model, or it is no bundle that can be trusted.
        SltError: the hub does not answer, a file is not what the card says, or the disk is full.
    """
    here = find_hub_folder(name)
    if to is not None:
        return _fetch_to(name, to, progress)
    if here and (variable := forbidden_by()):
        log.say(f"{variable} is set: whether {name} has changed is not asked")
        return _verified(here)
    check_online(name)
    with folder_lock(name.folder):
        offer = _look_up(name, name.folder / DRAFTS)
        folder = name.folder / offer.commit
        if folder.is_dir():
            _pin(offer)
            log.say(f"{name} is here, at its newest commit {offer.commit[:12]}")
            return _verified(folder)
        if here:
            log.say(f"{name} has changed; the earlier one stays here as {name.at(here.name)}")
        return _fetch(offer, folder, progress)


def card_of(name: HubName) -> BundleCard:
    """Return the card of a model; of one that is not here, nothing else is fetched.

    Raises:
        UserError, SltError: as for ``fetch_hub_model``.
    """
    if here := find_hub_folder(name):
        return read_card(here)
    check_online(name)
    with folder_lock(name.folder):
        return _look_up(name, name.folder / DRAFTS).card


def _fetch_to(name: HubName, to: Path, progress: Progress | None) -> Path:
    """Fetch a model to a folder of the user's."""
    check_online(name)
    if to.exists():
        raise UserError(f"{to} is there already", fix="name a folder that is not there yet")
    drafts = to.parent / f".{to.name}{DRAFTS}"
    with folder_lock(drafts):
        return _fetch(_look_up(name, drafts), to, progress)


def _look_up(name: HubName, drafts: Path) -> Offer:
    """Ask the hub what a revision is, and bring its card; only for who holds the lock of ``drafts``.

    Raises:
        UserError: there is no such model, or it is no bundle that can be trusted; every mistake is told.
        SltError: the hub does not answer.
    """
    api = connect()
    info = patiently(
        name,
        lambda: api.model_info(name.repo, revision=name.revision, files_metadata=True, timeout=30.0),
    )
    commit, listed = str(info.sha), {one.rfilename: one for one in info.siblings or ()}
    if not is_commit(commit):
        raise SltError(f"{endpoint()} gives {name} a commit that is none: {without_tokens(commit):.60}")
    if CARD_NAME not in listed:
        raise UserError(f"{name} is no bundle of slt: it has no {CARD_NAME}", fix="see what it is on its page")
    if not 0 < (size := listed[CARD_NAME].size or 0) <= LARGEST_CARD:
        raise UserError(f"{name} has a {CARD_NAME} of {size} bytes, expected at most {LARGEST_CARD}: refused")
    draft = drafts / commit
    bring(api, name, commit, HubFile(name=CARD_NAME, size=size, sha256=""), draft, None)
    try:
        card = read_card(draft)
        files = _files(card, listed)
    except UserError as error:
        raise UserError(f"{name} is refused: {printable(error.message)}", fix=error.fix or OTHER_FILES) from error
    licence = printable(_licence(card.licence, info.card_data or {}))
    return Offer(name=name, commit=commit, card=card, files=files, licence=licence, draft=draft)


def _licence(own: str, page: Any) -> str:
    """Return the licence of a bundle's card, and that of its page on the hub where that says another."""
    named = page.get("license")
    if named == "other":  # a licence, or several, that the hub has no identifier for
        named = page.get("license_name")
    same = not named or licence_slug(str(named)) == licence_slug(own)
    return own if same else f"{own}{PAGE_SAYS}{named}"


def licence_slug(name: str) -> str:
    """Return a licence's name as a model page has it where the hub knows no identifier."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _files(card: BundleCard, listed: dict[str, Any]) -> tuple[HubFile, ...]:
    """Return the files that a card names; each must be of a kind that runs nothing, and vouched for."""
    mistakes: list[str] = []
    files: dict[str, HubFile] = {}
    for name in card.files:
        entry, digest = listed.get(name), card.sha256.get(name)
        kinds = TOKENIZERS if name == card.decoder.tokenizer else WEIGHTS
        if not _FILE.fullmatch(name) or name in (CARD_NAME, RECORD_NAME):
            mistakes.append(f"{name!r} cannot be the name of a bundle's file")
        elif PurePosixPath(name).suffix not in kinds:
            mistakes.append(f"{name} is of a kind that is never fetched, expected {' or '.join(kinds)}")
        elif entry is None or entry.size is None or entry.size < 1:
            mistakes.append(f"{name}, which its card names, is not there")
        elif digest is None or (entry.lfs is not None and entry.lfs.sha256 != digest):
            mistakes.append(f"{name} is not the file whose sha256 its card has")
        else:
            files[name] = HubFile(name=name, size=entry.size, sha256=digest)
    if mistakes:
        raise UserError("; ".join(mistakes))
    return tuple(files.values())


def _fetch(offer: Offer, folder: Path, progress: Progress | None) -> Path:
    """Bring all files of an offer beside each other, verify them, and give the folder its name."""
    api, draft = connect(), offer.draft
    _announce(offer, folder)
    check_space(draft, offer.n_bytes - sum(path.stat().st_size for path in draft.rglob("*") if path.is_file()))
    with log.bars() as bars:
        for file in offer.files:
            bring(api, offer.name, offer.commit, file, draft, progress or bars.update)
    (draft / RECORD_NAME).unlink(missing_ok=True)
    card = HubFile(name=CARD_NAME, size=(draft / CARD_NAME).stat().st_size, sha256=sha256_of(draft / CARD_NAME))
    for file in (card, *offer.files):
        _record(offer, file, draft)
    shutil.rmtree(draft / ".cache", ignore_errors=True)  # the library's notes for resuming
    publish_folder(draft, folder)
    if folder.parent == offer.name.folder:
        _pin(offer)
    shutil.rmtree(draft.parent, ignore_errors=True)  # of earlier commits, too
    return folder


def _announce(offer: Offer, folder: Path) -> None:
    log.say(f"{offer.name} at commit {offer.commit[:12]}: {printable(offer.card.summary)}")
    for file in offer.files:
        log.say(f"  {file.name:33} {log.size(file.size):>8}")
    log.say(f"  {log.size(offer.n_bytes)} in all, from {endpoint()}/{offer.name.repo} to {folder}")
    log.say(f"  licence: {offer.licence}")
    log.say("  by fetching these files you accept it; that, and their checksums, are recorded beside them")


def _record(offer: Offer, file: HubFile, draft: Path) -> None:
    """Check that a file is the one the card vouches for, and nothing but weights; record it."""
    path = draft / file.name
    problem = None
    if path.is_symlink() or not path.is_file():
        problem = "is no plain file"
    elif (size := path.stat().st_size) != file.size:
        problem = f"has {size} bytes, the hub lists {file.size}"
    elif (found := sha256_of(path)) != file.sha256:
        problem = f"has the sha256 {found}, its card says {file.sha256}"
    elif path.suffix in WEIGHTS and not is_safetensors(path):
        problem = "is no safetensors file"
    if problem:
        path.unlink(missing_ok=True)
        raise SltError(f"{file.name} of {offer.name} {problem}: refused", fix=OTHER_FILES)
    url = f"{endpoint()}/{offer.name.repo}/resolve/{offer.commit}/{file.name}"
    when = datetime.now(UTC).isoformat(timespec="seconds")
    flush_to_disk(path)
    record = FetchedFile(url=url, size=file.size, sha256=file.sha256, fetched_at=when, licence=offer.licence)
    add_record(draft, file.name, record)


def _verified(folder: Path) -> Path:
    log.say(f"verifying what is in {folder}")
    verify_files(folder)
    return folder


def _pin(offer: Offer) -> None:
    """Record which commit a revision is; an earlier one keeps its files and a name of its own."""
    pins = read_pins(offer.name.folder)
    before = pins.get(offer.name.revision)
    if before and before != offer.commit and offer.name.revision != before:
        pins[before] = before
    write_pins(offer.name.folder, {**pins, offer.name.revision: offer.commit})
