"""Bring single files from the Hugging Face hub, patiently and resumably."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slt.assets.download import Patience
from slt.assets.hub_client import AGAIN, ask_hub
from slt.assets.hub_names import HubName
from slt.assets.models import Progress
from slt.assets.web import TryAgainError
from slt.core import log
from slt.core.errors import SltError

LOOK_EVERY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file to fetch.

    Attributes:
        name: its path in the repository and in the bundle.
        size: in bytes, as the hub lists it.
        sha256: in hexadecimal, as the bundle's card has it.
    """

    name: str
    size: int
    sha256: str


def bring(api: Any, name: HubName, commit: str, file: HubFile, draft: Path, progress: Progress | None) -> None:
    """Bring one file; whatever of it came before, in this process or another, is gone on with.

    Args:
        api: of ``hub_client.connect``.
        name: of the model.
        commit: of the file.
        file: which.
        draft: the folder it is brought to; the library keeps notes for resuming in ``.cache`` there.
        progress: called with the file, its megabytes that are here, and how many there will be.

    Raises:
        UserError: this user may not read it, or cannot write there.
        SltError: the hub does not give it, or the disk is full.
    """
    draft.mkdir(parents=True, exist_ok=True)

    def transfer() -> None:
        from huggingface_hub import hf_hub_download

        # cache_dir: the library's own cache, elsewhere, is not searched.
        where = {"local_dir": draft, "cache_dir": draft / ".cache", "endpoint": api.endpoint, "token": api.token}
        hf_hub_download(name.repo, file.name, revision=commit, library_name="slt", **where)

    def report() -> None:
        if progress and (here := _bytes_here(draft, file.name)) < file.size:
            progress(f"{file.name}, MB", here // 10**6, -(-file.size // 10**6))

    patiently(name, lambda: _watched(transfer, report), lambda: _bytes_here(draft, file.name))
    if progress:
        progress(f"{file.name}, MB", -(-file.size // 10**6), -(-file.size // 10**6))


def patiently(name: HubName, question: Callable[[], Any], furthest: Callable[[], int] = lambda: 0) -> Any:
    """Ask the hub, again and again while that may help.

    Args:
        name: of the model.
        question: asks, by the library.
        furthest: how many bytes have come; attempts that bring more do not count as failed.

    Raises:
        UserError, SltError: as for ``hub_client.ask_hub``; or it failed too often.
    """
    patience = Patience()
    failed, most = 0, furthest()
    while True:
        try:
            return ask_hub(name, question)
        except TryAgainError as error:
            why = error
        here = furthest()
        failed, most = (failed + 1, most) if here <= most else (1, here)
        if failed >= patience.tries:
            raise SltError(f"{name}: {why} ({failed} times in a row)", fix=AGAIN)
        seconds = patience.wait(failed, why.after_s)
        log.say(f"{name}: {why}; trying again in {seconds:.1f} s")
        patience.sleep(seconds)


def _watched(work: Callable[[], None], report: Callable[[], None]) -> None:
    """Run ``work`` on a thread, calling ``report`` meanwhile; an interrupted command does not wait for its end."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
        report()
    if failures:
        raise failures[0]


def _bytes_here(draft: Path, file: str) -> int:
    """Return how many bytes of a file have come: of its part, which the library keeps in ``.cache``, or the whole."""
    part = draft / ".cache" / "huggingface" / "download" / f"{file}.x"
    sizes = [path.stat().st_size for path in part.parent.glob("*.incomplete") if path.is_file()]
    whole = draft / file
    return whole.stat().st_size if whole.is_file() else max(sizes, default=0)


def is_safetensors(path: Path) -> bool:
    """Return whether a file is one of safetensors, by its header, which must fit the file's size."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return True
    except (SafetensorError, OSError):
        return False
