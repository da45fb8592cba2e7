"""Certificates: whom we trust, and that an encrypted way never turns into an open one."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slt.assets import web
from slt.assets.web import OutOfRangeError, TryAgainError, ask, opener
from slt.core.errors import SltError, UserError
from tests.servers import FileServer, answers, serving

SUBJECT = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a certificate for this machine, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("authority")
    made = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *curve, *made, *SUBJECT], check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return folder / "both.pem"


@pytest.fixture
def encrypted(authority: Path) -> Iterator[FileServer]:
    """A server that speaks https only."""
    server = FileServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.files["/a"] = b"content"
    with serving(server):
        yield server


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*web.CA_VARIABLES, "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def get(url: str) -> bytes:
    with ask(opener(), url, {}, 10.0) as response:
        return response.read()


def https(server: FileServer) -> str:
    return server.url.replace("http:", "https:")


def test_an_unknown_authority_is_not_trusted(encrypted):
    with pytest.raises(UserError, match=r"the certificate of 127\.0\.0\.1 cannot be trusted: self.signed") as caught:
        get(f"{https(encrypted)}/a")
    assert "SSL_CERT_FILE" in caught.value.fix


@pytest.mark.parametrize("variable", web.CA_VARIABLES)
def test_the_environment_names_authorities(encrypted, authority, monkeypatch, variable):
    monkeypatch.setenv(variable, str(authority))
    assert get(f"{https(encrypted)}/a") == b"content"


def test_an_encrypted_way_never_turns_into_an_open_one(encrypted, server, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    server.files["/a"] = b"anybody's"
    encrypted.faults["/a"] = [answers(302, Location=f"{server.url}/a")]
    with pytest.raises(SltError, match=r"redirects to http://.*, which is not encrypted: refused"):
        get(f"{https(encrypted)}/a")
    assert server.seen == []
    server.faults["/a"] = [answers(302, Location=f"{https(encrypted)}/a")]
    assert get(f"{server.url}/a") == b"content"  # the other way is fine


def test_authorities_that_cannot_be_read_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(UserError, match=r"cannot read the certificates that SSL_CERT_FILE names, .*none\.pem: No such"):
        opener()
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(UserError, match="cannot read the certificates that SSL_CERT_FILE names"):
        opener()


def test_a_system_without_authorities_gets_certifis(monkeypatch):
    nothing = ssl.get_default_verify_paths()._replace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(ssl, "create_default_context", lambda: empty)
    opener()
    assert empty.cert_store_stats()["x509_ca"] > 50


def test_what_may_pass_is_told_from_what_will_not(server):
    server.faults["/a"] = [
        answers(416),
        answers(503, Retry_After="3"),
        answers(503, Retry_After="Mon, 1 Jan"),
        answers(410),
    ]
    with pytest.raises(OutOfRangeError, match="no more of it"):
        get(f"{server.url}/a")
    for after_s in (3.0, 0.0):
        with pytest.raises(TryAgainError, match="503") as caught:
            get(f"{server.url}/a")
        assert caught.value.after_s == after_s
    with pytest.raises(SltError, match="answered 410 Gone: the file is gone"):
        get(f"{server.url}/a")
