"""HTTP requests with ranges, and errors of servers explained."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
    getproxies_environment,
)

from slt.core.errors import SltError, UserError

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LATER = {408, 425, 429, 500, 502, 503, 504}  # what a server answers that may do better later
MEANINGS = {404: ": there is no such file", 410: ": the file is gone", 401: ": no access", 403: ": no access"}
TRY_A_MIRROR = "look whether it moved, or fetch it from elsewhere with --mirror URL"


class TryAgainError(Exception):
    """The attempt failed, and another one may not.

    Args:
        reason: what happened.
        after_s: how long the server asked to be left alone, in seconds.
    """

    def __init__(self, reason: str, *, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class OutOfRangeError(TryAgainError):
    """The server has nothing from the asked byte on."""


class _Redirects(HTTPRedirectHandler):
    """Follow a redirection, but never from an encrypted connection to an open one."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise SltError(f"{req.full_url} redirects to {newurl}, which is not encrypted: refused", fix=TRY_A_MIRROR)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> OpenerDirector:
    """Return what opens addresses: through the proxies the environment names, trusting the authorities it names.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are honoured; so are ``SSL_CERT_FILE``,
    ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE``. Where neither they nor the system name any,
    certifi's are taken.

    Raises:
        UserError: a variable names certificates that cannot be read, or a proxy of a kind that is not spoken.
    """
    return build_opener(ProxyHandler(_proxies()), HTTPSHandler(context=_authorities()), _Redirects())


def _proxies() -> dict[str, str]:
    named = getproxies_environment()
    proxies = {kind: proxy for kind in ("http", "https") if (proxy := named.get(kind) or named.get("all"))}
    for kind, proxy in proxies.items():
        if urlsplit(proxy).scheme.startswith("socks"):
            spoken = f"{kind.upper()}_PROXY" if kind in named else "ALL_PROXY"
            raise UserError(
                f"{spoken} names a SOCKS proxy", fix=f"let {spoken} name one as http://host:port, or unset it"
            )
    return proxies


def _authorities() -> ssl.SSLContext:
    variable = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if variable is None:
        context = ssl.create_default_context()
        defaults = ssl.get_default_verify_paths()
        if not (defaults.cafile or context.cert_store_stats()["x509_ca"] or _has_files(defaults.capath)):
            import certifi

            context.load_verify_locations(certifi.where())
        return context
    chosen = os.environ[variable]
    try:
        is_folder = os.path.isdir(chosen)
        return ssl.create_default_context(cafile=None if is_folder else chosen, capath=chosen if is_folder else None)
    except OSError as error:  # ssl.SSLError is one
        message = f"cannot read the certificates that {variable} names, {chosen}: {error.strerror or error}"
        raise UserError(message, fix=f"let {variable} name a PEM file, or unset it") from error


def _has_files(folder: str | None) -> bool:
    return folder is not None and os.path.isdir(folder) and bool(os.listdir(folder))


def ask(opener: OpenerDirector, url: str, headers: Mapping[str, str], timeout_s: float) -> http.client.HTTPResponse:
    """Ask for a file.

    Args:
        opener: of ``opener``.
        url: http or https.
        headers: of the request.
        timeout_s: how long the server may be silent, now and later, while its answer is read.

    Returns:
        an answer of the 2xx kind.

    Raises:
        OutOfRangeError: the range that was asked for does not exist.
        TryAgainError: it may go better later.
        UserError: a proxy or certificate is not as it should be.
        SltError: the server refuses.
    """
    request = Request(url, headers={"User-Agent": "slt", "Accept-Encoding": "identity", **headers})
    try:
        return opener.open(request, timeout=timeout_s)
    except HTTPError as error:
        with error:
            raise _refusal(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _no_answer(url, error, timeout_s) from error
    except ValueError as error:
        raise SltError(f"{url} redirects to what is no address: {error}", fix=TRY_A_MIRROR) from error


def _refusal(url: str, error: HTTPError) -> Exception:
    said = f"{error.code} {error.reason}".strip().partition("\n")[0]
    if error.code in LATER:
        return TryAgainError(f"the server answered {said}", after_s=_seconds(error.headers.get("Retry-After")))
    if error.code == 416:
        return OutOfRangeError("the server says that there is no more of it than what is here")
    if 300 <= error.code < 400:
        return SltError(f"{url} is redirected in a loop or without a target ({error.code})", fix=TRY_A_MIRROR)
    if error.code == 407:
        return UserError(f"the proxy refuses to pass on {url}: {said}", fix="give HTTPS_PROXY a name and password")
    return SltError(f"{url} answered {said}{MEANINGS.get(error.code, '')}", fix=TRY_A_MIRROR)


def _no_answer(url: str, error: Exception, timeout_s: float) -> Exception:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    host = urlsplit(url).hostname
    if isinstance(cause, ssl.SSLCertVerificationError):
        return UserError(
            f"the certificate of {host} cannot be trusted: {cause.verify_message}",
            fix="if your network puts certificates of its own in between, let SSL_CERT_FILE name its authority's file",
        )
    if "Tunnel connection failed" in str(cause):
        return UserError(f"the proxy lets nothing through to {host}: {cause}", fix="correct HTTPS_PROXY, or NO_PROXY")
    if isinstance(cause, TimeoutError):
        return TryAgainError(f"no answer from {host} within {timeout_s:g} s")
    return TryAgainError(
        f"no connection to {host}: {getattr(cause, 'strerror', None) or cause or type(cause).__name__}"
    )


def _seconds(retry_after: str | None) -> float:
    """Read a Retry-After; one that gives a date counts for nothing, as we wait longer each time anyway."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 0.0
