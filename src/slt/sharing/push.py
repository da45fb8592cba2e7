"""Share a bundle on the Hugging Face hub, with a model card and under the licence it inherits."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slt.assets.cards import CARD_NAME, BundleCard, card_text, sha256_of
from slt.assets.hub_client import LOG_IN, connect, endpoint, forbidden_by
from slt.assets.hub_fetch import TOKENIZERS, WEIGHTS
from slt.assets.hub_names import MAIN, HubName
from slt.assets.hub_transfer import is_safetensors, patiently
from slt.assets.store import Bundle, find_bundle
from slt.core import log
from slt.core.errors import UserError
from slt.evaluate.results import RESULTS, Results, read_results
from slt.sharing.model_card import Share, write_model_card
from slt.sharing.origins import Origin, find_origins, inherited_licence

README = "README.md"
OF_THE_HUB = {".gitattributes", README}
# An absolute path in a text, but for its last two parts: the rest would reveal the user's folders.
_FOLDERS = re.compile(r"(?<![\w.:/-])[~/](?:\S*/)?(?=[^/\s]+/[^/\s]+)")


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What is going to be uploaded.

    Attributes:
        name: where to.
        share: what it is.
        files: the bundle's files, by their path in the repository.
        readme: the model card.
    """

    name: HubName
    share: Share
    files: Mapping[str, Path]
    readme: str

    @property
    def n_bytes(self) -> int:
        """Size of the bundle's files."""
        return sum(path.stat().st_size for path in self.files.values())


def pack(model: str | Path, name: HubName, *, licence: str | None = None, results: Sequence[Path] = ()) -> Parcel:
    """Check a bundle and write its model card; nothing is sent.

    Args:
        model: a run, or a bundle by name or folder.
        name: where it is going to lie.
        licence: to share it under; None: the one it inherits.
        results: files or folders that ``slt evaluate --out`` wrote of it; those in its run are found by themselves.

    Raises:
        UserError: no such bundle, a damaged one, one with other files than safetensors and tokenizers; a licence that
            it may not be shared under; results of another model.
    """
    if name.revision != MAIN:
        raise UserError(f"{name} names a revision", fix=f"share it as hf:{name.repo}")
    bundle = find_bundle(model)
    bundle.verify()
    files = {file: bundle.path(file) for file in dict.fromkeys(bundle.card.files)}
    _check_kinds(bundle, files)
    origins = find_origins(bundle)
    settled = inherited_licence(bundle, origins, licence)
    card = dataclasses.replace(_without_folders(bundle.card), licence=settled.name)
    share = Share(
        repo=name.repo,
        card=card,
        licence=settled,
        origins=tuple(_without_folders(one) for one in origins),
        results=_results(bundle, results),
    )
    return Parcel(name=name, share=share, files=files, readme=write_model_card(share))


def push(parcel: Parcel, *, private: bool = False) -> str:
    """Upload a parcel as one commit; what the hub has already is not sent again.

    Args:
        parcel: of ``pack``.
        private: whether a new repository is seen by its owner alone.

    Returns:
        the commit.

    Raises:
        UserError: offline, not logged in, no right to write there, or the repository holds something else.
        SltError: the hub does not answer, or refuses.
    """
    name = parcel.name
    if variable := forbidden_by():
        raise UserError(f"{variable} is set, and sharing needs the hub", fix=f"unset {variable}; --dry-run needs none")
    api = connect()
    _check_login(api)
    stale = _check_room(api, name, parcel.files, private=private)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils.tqdm import enable_progress_bars

    if sys.stderr.isatty():
        enable_progress_bars()  # how far a large file is, nothing but the library knows
    patiently(name, lambda: api.create_repo(name.repo, private=private, exist_ok=True))

    def commit() -> str:
        texts = {README: parcel.readme, CARD_NAME: card_text(parcel.share.card)}
        added = [CommitOperationAdd(file, text.encode()) for file, text in texts.items()]
        added += [CommitOperationAdd(file, str(path)) for file, path in parcel.files.items()]
        gone = [CommitOperationDelete(file) for file in stale]
        message = f"Share {parcel.share.card.name} by slt"
        return str(api.create_commit(name.repo, [*added, *gone], commit_message=message).oid)

    log.say(f"uploading {len(parcel.files)} files, {log.size(parcel.n_bytes)}, to {endpoint()}/{name.repo}")
    return str(patiently(name, commit))


def _check_kinds(bundle: Bundle, files: Mapping[str, Path]) -> None:
    mistakes = []
    for file, path in files.items():
        is_tokenizer = file == bundle.card.decoder.tokenizer
        if PurePosixPath(file).suffix not in (TOKENIZERS if is_tokenizer else WEIGHTS):
            mistakes.append(f"{file} is of a kind that is never shared")
        elif not is_tokenizer and not is_safetensors(path):
            mistakes.append(f"{file} is no safetensors file")
    if mistakes:
        raise UserError(f"{bundle.folder}: {'; '.join(mistakes)}", fix="train or import the model again")


def _results(bundle: Bundle, given: Sequence[Path]) -> tuple[Results, ...]:
    """Return results of this very bundle: those given, and those that lie in its run."""
    card = sha256_of(bundle.folder / CARD_NAME)
    found = {path: read_results(path) for path in given}
    for path, results in found.items():
        if results.source.get("card_sha256") != card:
            raise UserError(
                f"{path} are results of {results.system}, not of this very model",
                fix=f"slt evaluate --model {bundle.folder} --manifest MANIFEST --out DIR",
            )
    run = bundle.folder.parent
    if not given and bundle.folder.name == "bundle":
        mine = sorted([*run.glob(RESULTS), *run.glob(f"*/{RESULTS}")])
        every = {path: read_results(path) for path in mine}
        found = {path: one for path, one in every.items() if one.source.get("card_sha256") == card}
    return tuple(found.values())


def _check_login(api: Any) -> None:
    from huggingface_hub import get_token

    if api.token is False:
        raise UserError(f"{endpoint()} is not encrypted, and your token is not sent there", fix="use its https address")
    if not get_token():
        raise UserError(f"{endpoint()} wants to know who you are", fix=LOG_IN)


def _check_room(api: Any, name: HubName, files: Mapping[str, Path], *, private: bool) -> list[str]:
    """Check what is there already; return the weights of an earlier bundle that the new one lacks."""
    if not patiently(name, lambda: api.repo_exists(name.repo)):
        return []
    info = patiently(name, lambda: api.model_info(name.repo))
    there = {one.rfilename for one in info.siblings or ()}
    if CARD_NAME not in there and (others := sorted(there - OF_THE_HUB)):
        raise UserError(
            f"{name} holds something else than a bundle: {', '.join(others[:5])}", fix="choose another name"
        )
    if private and not info.private:
        raise UserError(f"{name} is there already, and public", fix="choose another name, or make it private first")
    return sorted(file for file in there if file.endswith(WEIGHTS) and file not in files)


def _without_folders(value: Any) -> Any:
    """Return a card, or anything in one, whose texts tell of absolute paths only the last two parts."""
    if isinstance(value, BundleCard):
        domain = value.domain and dataclasses.replace(value.domain, summary=_without_folders(value.domain.summary))
        return dataclasses.replace(value, domain=domain, made=_without_folders(value.made))
    if isinstance(value, Origin):
        return dataclasses.replace(value, name=_without_folders(value.name))
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    is_path = value.startswith(("/", "~"))  # which may have spaces in it
    return "/".join(PurePosixPath(value).parts[-2:]).lstrip("/") if is_path else _FOLDERS.sub("", value)
