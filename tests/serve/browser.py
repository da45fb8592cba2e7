"""A real browser, and servers for it: with a stand-in for the worker in this process, or whole ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from slt.serve.app import create_app
from slt.serve.settings import ServeSettings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@contextlib.contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """Run the system's Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its own sandbox needs rights that a container or root has not.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *options])
        try:
            yield browser
        finally:
            browser.close()


class ThreadServer:
    """A server on a thread of this process, which can go away and come back.

    Args:
        data: its folder.
        settings: further settings.
    """

    def __init__(self, data: Path, **settings: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.settings = ServeSettings(**({"models": ("demo",), "data": data, "port": self.port} | settings))
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        config = uvicorn.Config(
            create_app(self.settings), port=self.port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@contextlib.contextmanager
def whole_server(home: Path, *options: str, wait: bool = True) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``slt serve`` as a process; yield it, and its address."""
    command = [sys.executable, "-m", "slt_cli.main", "serve", "--model", "demo", "--port", "0", *options]
    env = os.environ | {"SLT_HOME": str(home)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        yield server, server.stdout.readline().strip() if wait else ""
    finally:
        server.terminate()
        server.wait(timeout=30)
        assert server.stdout is not None
        server.stdout.close()
