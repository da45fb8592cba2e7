from __future__ import annotations

import time

import pytest

from slt.core.errors import UserError
from slt.serve.guard import host_name
from slt.serve.settings import ServeSettings, is_loopback, parse_size
from slt.serve.tokens import token_for
from tests.serve.conftest import upload

TOKEN = "a-token-that-is-long-enough"
OPEN = {"host": "0.0.0.0", "token": TOKEN, "address": "http://192.0.2.7:8000"}


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST", "127.9.9.9"])
def test_this_machine_is_answered(serve, host):
    assert serve().get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.7", "", "[", "localhost.", "ä"])
def test_other_names_are_not_ours(serve, host):
    """A foreign page may have pointed its own name at this machine."""
    answer = serve().get("/api/v1/info", headers={"Host": host.encode()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host")


def test_the_names_of_a_proxy_can_be_added(serve):
    client = serve(allowed_hosts=("Slt.Example",))
    own = {"Host": "slt.example", "Origin": "https://slt.example"}
    assert client.get("/api/v1/info", headers=own).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9999", "file://127.0.0.1:8000", "http://127.0.0.1:80.evil", "ä"],
)
def test_pages_of_other_sites_are_refused(serve, origin):
    client = serve()
    answer = client.post("/api/v1/translations/x/cancel", headers={"Origin": origin.encode()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")


def test_requests_without_an_origin_are_told_apart_by_the_browser(serve):
    client = serve()
    assert client.get("/api/v1/info", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert client.get("/api/v1/info", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.get("/api/v1/info", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


def test_every_answer_has_strict_headers(serve):
    client = serve()
    for path in ("/", "/static/app.js", "/healthz", "/nothing", "/api/v1/info", "/openapi.json"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert client.get("/api/v1/info", headers={"Host": "evil"}).headers["content-security-policy"]


def test_with_a_token_everything_but_the_page_needs_it(serve, monkeypatch):
    monkeypatch.setattr("slt.serve.guard.WRONG_TOKEN_S", 0.05)
    client = serve(**OPEN)
    for path in ("/", "/static/app.css", "/healthz", "/api/v1/session"):
        assert client.get(path).status_code == 200
    for path in ("/api/v1/info", "/metrics", "/openapi.json", "/api/v1/translations", "/static/../api/v1/info"):
        assert client.get(path).status_code == 401
    assert upload(client).status_code == 401
    assert client.get("/api/v1/info", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    began = time.monotonic()
    wrong = client.get("/api/v1/info", headers={"Authorization": "Bearer ä".encode()})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "wrong_token")
    assert time.monotonic() - began >= 0.05


def test_signing_in_sets_a_cookie_that_scripts_cannot_read(serve, monkeypatch):
    monkeypatch.setattr("slt.serve.guard.WRONG_TOKEN_S", 0.01)
    client = serve(**OPEN)
    assert client.get("/api/v1/session").json() == {"needed": True, "shown": False}
    assert client.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
    answer = client.post("/api/v1/session", json={"token": TOKEN})
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert client.get("/api/v1/info").status_code == 200
    assert client.get("/api/v1/info").json()["data"] == "", "paths are told to this machine only"
    assert client.delete("/api/v1/session").status_code == 204
    assert client.get("/api/v1/info").status_code == 401


def test_many_wrong_tokens_are_not_even_compared(serve, monkeypatch):
    monkeypatch.setattr("slt.serve.guard.MOST_SLOWED", 0)
    answer = serve(**OPEN).get("/api/v1/info", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


def test_bodies_without_a_length_or_of_a_great_one_are_refused(serve):
    client = serve()
    url = "/api/v1/session"
    assert client.post(url, content=iter([b"{}"])).status_code == 411
    assert client.post(url, content=b" " * 1_000_001).status_code == 413
    assert client.post(url, content=b"{}", headers={"Content-Length": "x"}).status_code == 400


def test_no_request_names_a_file(serve):
    client = serve()
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"):
        assert client.get(path).status_code == 404
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    assert client.put("/").json()["error"]["code"] == "wrong_method"


def test_an_open_address_needs_a_token(tmp_path):
    with pytest.raises(UserError, match=r"found the address 0\.0\.0\.0 and no token"):
        ServeSettings(models=(), data=tmp_path, host="0.0.0.0")
    with pytest.raises(UserError, match="found max_queue 0, expected a number above 0"):
        ServeSettings(models=(), data=tmp_path, max_queue=0)
    assert is_loopback("::1")
    assert not is_loopback("example")
    assert host_name("[::1]:80") == "::1"


def test_tokens_are_new_given_or_too_short(tmp_path, monkeypatch):
    assert token_for("127.0.0.1") is None
    assert len(token_for("0.0.0.0")) == 32
    assert token_for("0.0.0.0") != token_for("0.0.0.0")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert token_for("127.0.0.1", file) == TOKEN
    file.write_text("short")
    with pytest.raises(UserError, match="has 5 characters, expected at least 16"):
        token_for("0.0.0.0", file)
    monkeypatch.setenv("SLT_SERVE_TOKEN", TOKEN)
    assert token_for("0.0.0.0") == TOKEN
    with pytest.raises(UserError, match="none does not exist"):
        token_for("0.0.0.0", tmp_path / "none")


def test_sizes_are_read():
    assert [parse_size(text) for text in ("2G", "500M", "1.5kB", "7")] == [2_000_000_000, 500_000_000, 1500, 7]
    for text in ("", "0", "many", "-1G", "nan"):
        with pytest.raises(UserError, match="expected a number of bytes such as 500M"):
            parse_size(text)
