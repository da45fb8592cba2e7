"""A web server on this machine that keeps files, and misbehaves in whatever way it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import pytest

Fault: TypeAlias = Callable[["Handler", bytes], None]


class FileServer(ThreadingHTTPServer):
    """Serves ``files``, by path; each fault of a path spoils one request for it, in order.

    Attributes:
        files: content by path.
        faults: what happens to the next requests for a path.
        seen: path, and bytes asked for, of each request; and its Host.
        released: what held-back answers wait for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.set_up()

    def set_up(self) -> None:
        """Begin with no file and no fault."""
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.hosts: list[str | None] = []
        self.released = threading.Event()
        self.asked = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go when they like."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        path = re.sub("^http://[^/]+", "", self.path)  # a proxy is asked for whole addresses
        self.server.seen.append((path, self.headers["Range"]))
        self.server.hosts.append(self.headers["Host"])
        self.server.asked.set()
        content = self.server.files.get(path, b"")
        faults = self.server.faults.get(path)
        if faults:
            faults.pop(0)(self, content)
        elif path not in self.server.files:
            self.answer(404)
        else:
            self.send(content)

    def send(self, content: bytes, *, ranges: bool = True, claim: int = 0, until: int | None = None) -> None:
        """Serve a file as a good server does; or claim another length, or end early."""
        begin = self.first_byte(content) if ranges else 0
        if begin >= len(content) > 0:
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        size = len(content) + claim
        headers = {"Content-Length": str(size - begin), "ETag": tag(content)}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
        self.answer(206 if begin else 200, headers)
        self.wfile.write(content[begin:until])

    def first_byte(self, content: bytes) -> int:
        asked = re.match(r"bytes=(\d+)-", self.headers["Range"] or "")
        return int(asked[1]) if asked and self.headers["If-Range"] in (None, tag(content)) else 0

    def answer(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": "0"} | (headers or {})).items():
            if value:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


def tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def drops(after: int) -> Fault:
    """The connection ends before the file does."""
    return lambda handler, content: handler.send(content, until=after)


def claims(more: int) -> Fault:
    """The file is said to be longer, or shorter, than it is."""
    return lambda handler, content: handler.send(content, claim=more, until=len(content) + min(more, 0))


def answers(code: int, **headers: str) -> Fault:
    return lambda handler, _: handler.answer(code, {name.replace("_", "-"): value for name, value in headers.items()})


def ignores_ranges(handler: Handler, content: bytes) -> None:
    handler.send(content, ranges=False)


def stalls(after: int) -> Fault:
    """Nothing more comes until the server is released; then the rest does."""

    def fault(handler: Handler, content: bytes) -> None:
        begin = handler.first_byte(content)
        handler.send(content, until=begin + after)
        handler.wfile.flush()
        handler.server.released.wait(20)
        handler.wfile.write(content[begin + after :])

    return fault


def trickles(handler: Handler, content: bytes) -> None:
    """A byte now and then, never silent for long."""
    handler.answer(200, {"Content-Length": str(len(content)), "ETag": tag(content)})
    for byte in content:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.server.released.wait(0.02):
            return


def changes_to(content: bytes, then: Fault | None = None) -> Fault:
    """From this request on it is another file."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.server.files[re.sub("^http://[^/]+", "", handler.path)] = content
        if then:
            then(handler, content)
        else:
            handler.send(content)

    return fault


@contextlib.contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as running:
        yield running
