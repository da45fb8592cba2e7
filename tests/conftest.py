"""What holds for every test: no network, a home of its own, the same random numbers each time."""

from __future__ import annotations

import ipaddress
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["SLT_OFFLINE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine."""


def _is_local(host: Any) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _block_the_network(event: str, args: tuple[Any, ...]) -> None:
    """Refuse names and addresses other than this machine's; sockets of the file system have no host to refuse."""
    if event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if not _is_local(host):
        raise NetworkBlockedError(f"the network is blocked in tests, and this one asked for {host!r}")


# A hook of the interpreter, and not a patch of the socket module: it also sees those who imported it earlier.
sys.addaudithook(_block_the_network)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "slt-home"))


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:  # a test that needs none of it need not wait for it
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle files, and the tests in each, when SLT_TEST_SHUFFLE gives a seed."""
    if seed := os.environ.get("SLT_TEST_SHUFFLE"):
        draw = random.Random(seed)
        files = {path: draw.random() for path in sorted({item.path for item in items})}
        draw.shuffle(items)
        items.sort(key=lambda item: files[item.path])
