"""Names of models on the Hugging Face hub, ``hf:OWNER/NAME[@REVISION]``, and where those lie that were fetched."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.home import slt_home

PREFIX = "hf:"
MAIN = "main"
PINS_NAME = "pins.json"
DRAFTS = ".drafts"
FORMAT = 1

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPO = re.compile(rf"({_PART})/({_PART})")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
_COMMIT = re.compile("[0-9a-f]{40}")
LONGEST = 96


@dataclass(frozen=True, kw_only=True)
class HubName:
    """One model on the hub.

    Attributes:
        repo: ``OWNER/NAME``.
        revision: a branch, a tag, or a commit of 40 hexadecimal digits.
    """

    repo: str
    revision: str = MAIN

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + ("" if self.revision == MAIN else f"@{self.revision}")

    @property
    def folder(self) -> Path:
        """Where its revisions lie, each in a folder named by its commit; it need not exist."""
        return slt_home() / "hub" / self.repo.replace("/", "--")  # the hub allows no -- in a name

    def at(self, commit: str) -> HubName:
        """Return the same model at one commit, whose files never change."""
        return HubName(repo=self.repo, revision=commit)


@dataclass(frozen=True, kw_only=True)
class _Pins:
    format: int = FORMAT
    revisions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if wrong := [commit for commit in self.revisions.values() if not is_commit(commit)]:
            raise UserError(f"{', '.join(wrong)}: expected commits of 40 hexadecimal digits")


def parse_hub_name(name: str | Path) -> HubName | None:
    """Return what ``hf:OWNER/NAME[@REVISION]`` names; None for a name or path that does not begin with ``hf:``.

    Raises:
        UserError: it begins so, but is no such name.
    """
    text = str(name)
    if not text.startswith(PREFIX):
        return None
    repo, at, revision = text.removeprefix(PREFIX).partition("@")
    usable = _REPO.fullmatch(repo) and len(repo) <= LONGEST and not re.search(r"--|\.\.", repo)
    if at:
        usable = usable and _REVISION.fullmatch(revision) and not re.search(r"\.\.|//|/$", revision)
    if not usable:
        raise UserError(f"{text!r} names no model on the hub", fix="write hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    return HubName(repo=repo, revision=revision or MAIN)


def is_commit(text: str) -> bool:
    """Return whether a text is a full commit."""
    return _COMMIT.fullmatch(text) is not None


def read_pins(folder: Path) -> dict[str, str]:
    """Return the commit that each revision of a model was fetched at; empty where nothing was.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / PINS_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", fix=f"remove {folder} and fetch the model again") from error
    return dict(parse(_Pins, content, where=str(path)).revisions)


def write_pins(folder: Path, revisions: Mapping[str, str]) -> None:
    """Write the commit of each revision; only for who holds the folder's lock."""
    with atomic_write(folder / PINS_NAME) as out:
        out.write((json.dumps({"format": FORMAT, "revisions": dict(revisions)}, indent=2) + "\n").encode())


def find_hub_folder(name: HubName) -> Path | None:
    """Return the folder of a model that was fetched, at the commit its revision had then; None: it is not here."""
    commit = read_pins(name.folder).get(name.revision, name.revision)
    folder = name.folder / commit
    return folder if is_commit(commit) and folder.is_dir() else None


def list_hub_models() -> dict[str, Path]:
    """Return the folders of the models that were fetched from the hub, by name."""
    found: dict[str, Path] = {}
    for path in sorted((slt_home() / "hub").glob(f"*--*/{PINS_NAME}")):
        repo = path.parent.name.replace("--", "/", 1)
        for revision in read_pins(path.parent):
            name = HubName(repo=repo, revision=revision)
            if folder := find_hub_folder(name):
                found[str(name)] = folder
    return found


def exact_name(name: str | Path) -> str:
    """Return a model's name for records: one from the hub with the commit that is used; others as they are."""
    hub = parse_hub_name(name)
    folder = hub and find_hub_folder(hub)
    return str(hub.at(folder.name)) if hub and folder else str(name)


def forget_revision(name: HubName) -> Path | None:
    """Remove a revision of a model; for who holds the folder's lock.

    Returns:
        the folder that is gone; None: another revision is the same commit, so its files stay.
    """
    pins = read_pins(name.folder)
    commit = pins.pop(name.revision, name.revision)
    write_pins(name.folder, pins)  # first: what is not pinned is not listed, whatever happens
    if commit in pins.values():
        return None
    if pins:
        shutil.rmtree(name.folder / commit)
        return name.folder / commit
    shutil.rmtree(name.folder)
    return name.folder
