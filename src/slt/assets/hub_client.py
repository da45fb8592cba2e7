"""Talk to the Hugging Face hub through ``huggingface_hub``: whom to, as whom, and its errors explained."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from slt.assets.hub_names import HubName
from slt.assets.web import LATER, TryAgainError
from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.files import cannot_write
from slt.core.home import is_offline, slt_home

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

PUBLIC = "https://huggingface.co"
TIMEOUT_S = 30.0
LOG_IN = "log in with `hf auth login`, or let HF_TOKEN hold a token"
AGAIN = "run the same command again: it goes on where it stopped; if there is a proxy, let HTTPS_PROXY name it"
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}|(?<=[Bb]earer )\S+")


def endpoint() -> str:
    """Return the hub's address, ``HF_ENDPOINT`` or the public one.

    Raises:
        UserError: ``HF_ENDPOINT`` is no address.
    """
    chosen = os.environ.get("HF_ENDPOINT") or PUBLIC
    parts = urlsplit(chosen)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise UserError("HF_ENDPOINT is no address of a hub", fix="write https://host, without a name or password")
    return chosen.rstrip("/")


def forbidden_by() -> str | None:
    """Return the variable that forbids connections to the hub: ours, or one of the library's own; None: none does."""
    if is_offline():
        return "SLT_OFFLINE"
    others = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in others if os.environ.get(name, "").lower() in ("1", "true", "yes", "on")), None)


def check_online(name: HubName) -> None:
    """Check that a model that is not here may be asked for.

    Raises:
        UserError: a variable forbids all connections.
    """
    if variable := forbidden_by():
        raise UserError(
            f"{variable} is set, and {name} is not here",
            fix=f"where there is a network: slt models fetch {name} --to DIR; then copy DIR here, and give --model DIR",
        )


def connect() -> HfApi:
    """Return the library's client of the hub; it logs in with the user's own token, where there is one."""
    # Read when the library is first imported. Xet's own protocol resumes nothing, and goes by no proxy.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    os.environ.setdefault("HF_XET_CACHE", str(slt_home() / "hub" / ".xet"))
    if authority := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", authority)  # the name that the library knows it by
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what it warns of is told by us
    where = endpoint()
    is_open = where.startswith("http:") and not _is_this_machine(where)
    if is_open and huggingface_hub.get_token():
        log.warn(f"{urlsplit(where).netloc} is not encrypted: your token is not sent there")
    return huggingface_hub.HfApi(endpoint=where, library_name="slt", token=False if is_open else None)


def ask_hub(name: HubName, question: Callable[[], T]) -> T:
    """Ask the hub something.

    Raises:
        TryAgainError: it may go better later.
        UserError: there is no such model or revision, or it is not this user's to read or write.
        SltError: the hub refuses, or answers what makes no sense.
    """
    try:
        return question()
    except (SltError, TryAgainError):
        raise
    except Exception as error:
        # Not as a cause: a traceback would show what the server said word for word, and it was told the token.
        raise _explained(name, error) from None


def without_tokens(text: str) -> str:
    """Return a text without the user's token, and without what looks like one; and without control characters."""
    own = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or _saved_token()
    text = text.replace(own, "***") if own else text
    return printable(_TOKEN.sub("***", text))


def printable(text: str) -> str:
    """Return a stranger's text without what a terminal would obey, on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _saved_token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _explained(name: HubName, error: Any) -> Exception:
    """Explain an error of the library to the user."""
    from huggingface_hub import errors

    host = urlsplit(endpoint()).netloc
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # no answer to the first question of a download
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # of one of several uploads
    if isinstance(error, errors.GatedRepoError):
        return UserError(f"{name} is given only to who accepts its terms", fix=f"accept them on its page; {LOG_IN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(f"{host} has no model {name.repo}, or it is private", fix=f"check the name; or {LOG_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{name.repo} has no revision {name.revision}", fix=f"see its branches and tags on {host}")
    if isinstance(error, errors.EntryNotFoundError):
        return SltError(f"{host} lists a file of {name} that it does not have: {without_tokens(str(error))}")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return UserError(f"{host} wants to know who you are", fix=LOG_IN)
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        return _refusal(host, error)
    if isinstance(error, OSError) and error.errno is not None and error.filename:
        return cannot_write(error.filename, error)
    said = without_tokens(str(error))
    if isinstance(error, OSError):  # requests' own are, and have no number
        return _no_answer(host, type(error).__name__, said)
    return SltError(f"{host} answered what makes no sense for {name}: {said:.200}", fix="see whether it is a hub")


def _no_answer(host: str, kind: str, said: str) -> Exception:
    """Return what a failure to talk to the hub means, by the name of requests' error."""
    if kind == "ProxyError":
        return UserError(f"the proxy lets nothing through to {host}", fix="correct HTTPS_PROXY, or NO_PROXY")
    if kind == "SSLError":
        return UserError(
            f"the certificate of {host} cannot be trusted",
            fix="if your network puts certificates of its own in between, let SSL_CERT_FILE name its authority's file",
        )
    if "Timeout" in kind:
        return TryAgainError(f"no answer from {host} in time")
    if kind == "ConnectionError":
        return TryAgainError(f"no connection to {host}")
    broke = "IncompleteRead" in said or kind == "ChunkedEncodingError"
    return TryAgainError(f"no whole answer from {host}: {'the connection broke' if broke else said[:200]}")


def _refusal(host: str, error: Any) -> Exception:
    code = error.response.status_code
    said = f"{host} answered {code}: {without_tokens(error.server_message or error.response.reason or '')}".rstrip(": ")
    if code in LATER:
        return TryAgainError(said)
    if code in (401, 403):
        return UserError(said, fix=f"you need the right to do this; {LOG_IN}")
    return SltError(said, fix="if the hub has moved, let HF_ENDPOINT name its address")
