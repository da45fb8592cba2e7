"""The tests' own guard against the network."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("host", ["example.org", "192.0.2.1", "2001:db8::1"])
def test_names_and_addresses_elsewhere_are_refused(host):
    with pytest.raises(RuntimeError, match="network is blocked in tests, and this one asked for"):
        socket.getaddrinfo(host, 443)
    with socket.socket() as client, pytest.raises(RuntimeError, match="network is blocked"):
        client.connect(("192.0.2.1", 443))


def test_this_machine_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    assert socket.getaddrinfo("localhost", 80)
