"""Download one file over HTTP, resuming when the server's file is unchanged."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slt.assets.published import PublishedFile
from slt.assets.web import TRY_A_MIRROR, OutOfRangeError, TryAgainError, ask, opener
from slt.core import log
from slt.core.config import parse
from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write, cannot_write, flush_to_disk

CHUNK_BYTES = 1 << 20
REPORT_EVERY_S = 0.1
GO_ON = (
    "run the same command again: it goes on where it stopped; if there is a proxy, let HTTPS_PROXY name it; if there is"
    " a mirror, --mirror"
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server is borne with.

    Attributes:
        tries: attempts in a row that bring nothing new.
        stall_s: seconds of silence, or of fewer than ``slowest`` bytes per second, after which it is asked again.
        slowest: bytes per second.
        wait_s: seconds before the second attempt; doubled from then on.
        longest_wait_s: seconds that are never exceeded, not even when the server asks for more.
        sleep: waits that many seconds.
        jitter: between 0 and 1, anew each time, so that many who failed together do not come back together.
    """

    tries: int = 5
    stall_s: float = 30.0
    slowest: float = 1024.0
    wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait(self, failed: int, asked_s: float) -> float:
        """Return the seconds to wait after so many failures, when the server asked for ``asked_s``."""
        own = self.wait_s * 2 ** (failed - 1) * (0.5 + 0.5 * self.jitter())
        return min(max(own, asked_s), self.longest_wait_s)


@dataclass(frozen=True, kw_only=True)
class Partial:
    """Which version of a file a part belongs to; lies beside it.

    Attributes:
        url: where it comes from.
        size: of the whole, in bytes; None when the server does not say.
        etag: what the server calls this version.
        modified: when it was changed, in the server's words.
    """

    url: str
    size: int | None = None
    etag: str | None = None
    modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What the server recognises this very version by; a weak tag does not promise the same bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def may_be(self, other: Partial) -> bool:
        """Return whether nothing speaks against ``other`` being the same version; what one lacks says nothing."""
        tags = (self.etag, other.etag) if self.etag and other.etag else (self.modified, other.modified)
        return all(None in pair or pair[0] == pair[1] for pair in (tags, (self.size, other.size)))


class Download:
    """The way of one file to ``<name>.part``.

    Args:
        file: what to fetch.
        url: where from.
        folder: where to.
        patience: with the server.
        report: called with the bytes that are here, and of how many there will be, if known.
        tell: called with what the user should know.
        go_on: asked before anything is written; raises when the work was given up.
    """

    def __init__(
        self,
        file: PublishedFile,
        url: str,
        folder: Path,
        *,
        patience: Patience,
        report: Callable[[int, int | None], object],
        tell: Callable[[str], object],
        go_on: Callable[[], object],
    ) -> None:
        self.part = folder / f"{file.name}.part"
        self._state = folder / f"{file.name}.part.json"
        self._file, self._url, self._patience = file, url, patience
        self._report, self._tell, self._go_on = report, tell, go_on
        self._opener = opener()

    def run(self) -> Partial:
        """Bring the file, whole and flushed to the disk, to ``part``.

        Returns:
            what is known of it.

        Raises:
            UserError: this user, proxy or certificate stands in the way.
            SltError: the server does not give it, or the disk does not take it.
        """
        failed, furthest = 0, self._bytes_here() if self._known() else 0
        while True:
            try:
                return self._attempt()
            except TryAgainError as error:
                why = error
            here = self._bytes_here()
            failed, furthest = (failed + 1, furthest) if here <= furthest else (1, here)
            if failed >= self._patience.tries:
                raise SltError(f"cannot fetch {self._url}: {why} ({failed} times in a row)", fix=GO_ON) from why
            seconds = self._patience.wait(failed, why.after_s)
            self._tell(f"{self._file.name}: {why}; trying again in {seconds:.1f} s")
            self._patience.sleep(seconds)

    def discard(self) -> None:
        """Remove the part; what it belonged to goes first, so that nothing is ever taken for a part of it."""
        self._state.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what is known of the part once it has been given its name."""
        self._state.unlink(missing_ok=True)

    def _attempt(self) -> Partial:
        self._go_on()
        known = self._known()
        here = self._bytes_here() if known else 0
        if known and here == known.size:
            return known
        headers = {"Range": f"bytes={here}-", "If-Range": known.validator or ""} if known else {}
        try:
            response = ask(self._opener, self._url, headers, self._patience.stall_s)
        except OutOfRangeError:
            self.discard()
            raise
        with response:
            offered = self._offered(response)
            here = self._starts_at(response, known, offered, here)
            self._check_size(offered.size, here)
            if not here:
                self._start_anew(offered)
            self._copy(response, here, offered.size)
        flush_to_disk(self.part)
        return offered

    def _known(self) -> Partial | None:
        """Return what the part belongs to when it can be gone on with."""
        try:
            known = parse(Partial, json.loads(self._state.read_text("utf-8")), where=str(self._state))
        except (OSError, ValueError, UserError):  # whatever is wrong with it: then it is fetched from its beginning
            return None
        here = self._bytes_here()
        usable = known.url == self._url and known.validator and 0 < here <= (known.size or here)
        return known if usable else None

    def _bytes_here(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def _offered(self, response: http.client.HTTPResponse) -> Partial:
        """Read what the answer says of the whole file."""
        headers = response.headers
        if headers.get("Content-Encoding", "identity") != "identity":
            raise SltError(f"{self._url} arrived compressed, which was not requested", fix=TRY_A_MIRROR)
        if response.status == 206:
            _, _, total = (headers.get("Content-Range") or "").partition("/")
        else:
            total = headers.get("Content-Length") or ""
        if not total.isdecimal() and headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise SltError(f"{self._url} has no Content-Length, so its end cannot be checked", fix=TRY_A_MIRROR)
        size = int(total) if total.isdecimal() else None
        return Partial(url=self._url, size=size, etag=headers.get("ETag"), modified=headers.get("Last-Modified"))

    def _starts_at(self, response: http.client.HTTPResponse, known: Partial | None, offered: Partial, here: int) -> int:
        """Return which byte the answer begins with: the next one, or the first."""
        if response.status not in (200, 206):
            raise SltError(f"{self._url} answered {response.status} {response.reason}, not a file", fix=TRY_A_MIRROR)
        same = known is None or known.may_be(offered)
        if not same:
            self._tell(f"{self._file.name}: it has changed on the server since its first part came: starting anew")
        elif known and response.status == 200:
            self._tell(f"{self._file.name}: the server cannot go on in the middle: starting anew")
        if response.status == 200:
            return 0
        if known and same and re.match(rf"bytes {here}-", response.headers.get("Content-Range") or ""):
            return here
        self.discard()
        raise TryAgainError("the server sent another part than the one asked for")

    def _check_size(self, size: int | None, here: int) -> None:
        if size is None:
            return
        if size < self._file.smallest_bytes:
            about = f"{size} bytes long; about {self._file.about_bytes} were expected"
            fix = "perhaps a page of your network's instead: open the address in a browser; or use --mirror URL"
            raise SltError(f"{self._url} is {about}", fix=fix)
        check_space(self.part.parent, size - here)

    def _start_anew(self, offered: Partial) -> None:
        try:
            self.discard()
            self.part.touch()
            with atomic_write(self._state) as out:
                out.write(json.dumps(dataclasses.asdict(offered)).encode())
        except OSError as error:
            raise cannot_write(self.part, error) from error

    def _copy(self, response: http.client.HTTPResponse, here: int, size: int | None) -> None:
        try:
            with open(self.part, "ab") as out:
                here = self._pump(response, out, here, size)
        except OSError as error:
            raise cannot_write(self.part, error) from error
        if size is not None and here != size:
            raise TryAgainError(f"the connection ended after {here} of {size} bytes")
        if here < self._file.smallest_bytes:
            self.discard()
            raise SltError(f"{self._url} ended after {here} bytes; about {self._file.about_bytes} were expected")

    def _pump(self, response: http.client.HTTPResponse, out: BinaryIO, here: int, size: int | None) -> int:
        """Pass the answer on; return how many bytes of the file are here at its end."""
        looked_at, here_then, reported_at = time.monotonic(), here, 0.0
        while chunk := self._read(response):
            self._go_on()
            out.write(chunk)
            out.flush()  # nothing may be left to be written once another process may write here
            here += len(chunk)
            now = time.monotonic()
            if now - reported_at >= REPORT_EVERY_S or here == size:
                self._report(here, size)
                reported_at = now
            if (took := now - looked_at) >= self._patience.stall_s:
                if here - here_then < self._patience.slowest * took:
                    raise TryAgainError(f"only {here - here_then} bytes came in {took:.0f} s")
                looked_at, here_then = now, here
        return here

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read1(CHUNK_BYTES)
        except TimeoutError as error:
            raise TryAgainError(f"nothing came for {self._patience.stall_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            said = getattr(error, "strerror", None) or type(error).__name__
            raise TryAgainError(f"the connection broke: {said}") from error


def check_space(folder: Path, needed: int) -> None:
    """Check that a disk has room.

    Args:
        folder: on that disk; it exists.
        needed: bytes.

    Raises:
        SltError: it has less.
    """
    with contextlib.suppress(OSError):  # some file systems do not tell
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise SltError(
                f"{folder} has {log.size(free)} free, and {log.size(needed)} are to come",
                fix="free some space there, or set SLT_HOME, or --to, to a folder on a larger disk",
            )
