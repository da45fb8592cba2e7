"""Who may ask: Host and Origin are checked, tokens compared, and every answer carries strict headers."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from slt.serve.refusals import ApiError
from slt.serve.settings import LOCAL_NAMES, ServeSettings, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

COOKIE = "slt_token"
OPEN = ("/", "/healthz", "/api/v1/session", "/favicon.ico")
"""What may be asked for without a token: the page itself holds nothing, and asks for it."""

WRONG_TOKEN_S = 1.0
MOST_SLOWED = 50
SMALL_BODY = 1_000_000
UPLOADS = "/api/v1/translations"

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Stands before the application.

    Args:
        app: the application.
        settings: address, token and names of the server.
    """

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._names = {*LOCAL_NAMES, *(name.lower() for name in settings.allowed_hosts)}
        self._local = is_loopback(settings.host)
        if not self._local:
            self._names |= {socket.gethostname().lower(), settings.host.lower()}
        self._slowed = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_host(headers)
            self._check_origin(scope, headers)
            self._check_body(scope, headers)
            await self._check_token(scope, headers)
        except ApiError as error:
            await _refuse(error, send)
            return
        await self._app(scope, _patient(receive, self._settings.idle_s), _with_headers(send))

    def _check_host(self, headers: dict[str, str]) -> None:
        """Refuse a name that is not ours: a foreign page may have pointed its own name at this machine."""
        name = host_name(headers.get("host", ""))
        if name in self._names:
            return
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            raise ApiError(
                *(421, "wrong_host", f"this server is not called {name[:100]!r}"),
                "use its address, or start it with --allowed-host NAME",
            ) from None
        if self._local and not address.is_loopback:
            raise ApiError(421, "wrong_host", "this server answers this machine only", "use http://127.0.0.1")

    def _check_origin(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> None:
        """Refuse requests that a page of another site makes."""
        origin = headers.get("origin")
        if origin is not None:
            parts = urlsplit(origin) if origin.isascii() and len(origin) < 300 else urlsplit("")
            own = headers.get("host", "").lower()
            default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
            if parts.netloc.lower() not in (own, own.removesuffix(default)) or not default:
                raise ApiError(403, "wrong_origin", "requests from other sites are refused")
        elif headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
            raise ApiError(403, "wrong_origin", "requests from other sites are refused")

    def _check_body(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> None:
        """Refuse bodies of unknown or great length but for uploads."""
        if scope["path"] == UPLOADS and not headers.get("content-type", "").startswith("application/json"):
            return
        if "transfer-encoding" in headers:
            raise ApiError(411, "length_required", "this request needs a Content-Length")
        length = headers.get("content-length") or "0"
        if not (length.isascii() and length.isdigit()):
            raise ApiError(400, "bad_length", "the Content-Length is not a number")
        if len(length) > 12 or int(length) > SMALL_BODY:
            raise ApiError(413, "too_large", f"this request is larger than {SMALL_BODY} bytes")

    async def _check_token(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> None:
        token = self._settings.token
        if token is None or scope["path"] in OPEN or scope["path"].startswith("/static/"):
            return
        shown = shown_token(headers)
        if shown is None:
            raise ApiError(
                *(401, "no_token", "this server needs a token"),
                "use the link that slt serve printed, or send Authorization: Bearer TOKEN",
                {"www-authenticate": "Bearer"},
            )
        await self.check(shown)

    async def check(self, shown: str) -> None:
        """Compare a token with the server's, and take a second over a wrong one.

        Raises:
            ApiError: it is wrong, or so many are tried that this one is not even compared.
        """
        right = self._settings.token
        if right is None or hmac.compare_digest(shown.encode(), right.encode()):
            return
        if self._slowed >= MOST_SLOWED:
            raise ApiError(*(429, "too_many_tries", "too many wrong tokens"), "wait a moment", {"retry-after": "5"})
        self._slowed += 1
        try:
            await asyncio.sleep(WRONG_TOKEN_S)
        finally:
            self._slowed -= 1
        raise ApiError(
            *(401, "wrong_token", "the token is wrong"),
            "copy the whole link that slt serve printed",
            {"www-authenticate": "Bearer"},
        )


def host_name(host: str) -> str:
    """Return the name or address of a Host header, without the port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def shown_token(headers: dict[str, str]) -> str | None:
    """Return the token of a request, from its header or cookie."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


def _patient(receive: Receive, idle_s: float) -> Receive:
    """Wait for each piece of a body only so long; an ended body may be waited on for ever."""
    ended = False

    async def limited() -> Message:
        nonlocal ended
        if ended:
            return await receive()
        try:
            async with asyncio.timeout(idle_s):
                message = await receive()
        except TimeoutError:
            ended = True
            return {"type": "http.disconnect"}
        ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sending


async def _refuse(error: ApiError, send: Send) -> None:
    body = json.dumps(error.content).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    answer = [(name.encode(), value.encode()) for name, value in headers.items()]
    await _with_headers(send)({"type": "http.response.start", "status": error.status, "headers": answer})
    await send({"type": "http.response.body", "body": body})
