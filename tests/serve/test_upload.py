"""Uploads that lie, stop half-way, or ask for too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from slt.serve import upload as module
from slt.serve.upload import Upload, UploadRefused, receive_upload
from tests.serve.conftest import VIDEO, upload

TYPE = "multipart/form-data; boundary=x"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def received(folder: Path, *pieces: bytes, kind: str = TYPE, pause_s: float = 0.0, **limits) -> Upload:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            await asyncio.sleep(pause_s)
            yield piece

    limits = {"most_bytes": 10_000_000, "idle_s": 5.0} | limits
    return asyncio.run(receive_upload(body(), kind, folder, **limits))


def test_a_form_is_read_however_it_is_cut(tmp_path):
    form = part("lang", b"eng_Latn") + part("file", VIDEO * 99, "a b.mp4") + part("lang", "déu".encode()) + b"--x--\r\n"
    for size in (1, 7, 1000, len(form)):
        folder = tmp_path / str(size)
        folder.mkdir()
        found = received(folder, *(form[at : at + size] for at in range(0, len(form), size)))
        assert (found.fields, found.name, found.size) == ({"lang": ["eng_Latn", "déu"]}, "a b.mp4", len(VIDEO) * 99)
        assert (folder / found.file).read_bytes() == VIDEO * 99


@pytest.mark.parametrize(
    ("pieces", "status", "said"),
    [
        ([part("file", VIDEO, "a.mp4")], 400, "ends before its last boundary"),
        ([part("file", VIDEO, "a.mp4")[:-20]], 400, "ends before its last boundary"),
        ([b"no form at all"], 400, "the form is malformed"),
        ([part("file", b"1", "a.mp4"), part("file", b"2", "b.mp4"), b"--x--"], 400, "several files"),
        ([part("lang", b"x") * 301], 400, "more than 300 fields"),
        ([part("lang", b"x" * 10_001)], 400, "the field 'lang' is too long"),
        ([b"--x\r\nContent-Disposition: " + b"x" * 5000], 400, "malformed: Maximum header size exceeded"),
        ([b"--x\r\n" + b"x" * 5000], 400, "malformed: Maximum header size exceeded"),
        ([part("file", b"1" * 200, "a.mp4")], 413, "larger than 0.0001 MB"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(tmp_path, pieces, status, said):
    with pytest.raises(UploadRefused, match=said) as caught:
        received(tmp_path, *pieces, most_bytes=100)
    assert caught.value.status == status


def test_only_forms_are_uploads(tmp_path):
    for kind in ("", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x"):
        with pytest.raises(UploadRefused, match="expected a form"):
            received(tmp_path, b"", kind=kind)


def test_slow_uploads_are_given_up(tmp_path, monkeypatch):
    form = part("file", VIDEO, "a.mp4") + b"--x--"
    with pytest.raises(UploadRefused, match=r"nothing was sent for 0\.05 s"):
        received(tmp_path, form[:5], form[5:], pause_s=0.3, idle_s=0.05)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    with pytest.raises(UploadRefused, match="the upload is too slow"):
        received(tmp_path, *(bytes([byte]) for byte in form), pause_s=0.002)


def test_a_claim_beyond_the_limit_or_the_disk_is_refused_at_once(tmp_path, monkeypatch):
    with pytest.raises(UploadRefused, match="larger than 10 MB"):
        received(tmp_path, claimed=20_000_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UploadRefused, match="disk is full") as caught:
        received(tmp_path, claimed=500)
    assert caught.value.status == 507


def test_a_disk_that_fills_up_meanwhile_is_said(tmp_path, monkeypatch):
    def full(self) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._Form, "flush", full)
    with pytest.raises(UploadRefused, match="disk is full"):
        received(tmp_path, part("file", VIDEO, "a.mp4"), b"--x--")


def test_refused_uploads_leave_nothing_and_hold_no_place(serve, tmp_path):
    client = serve(max_upload_bytes=100, max_queue=1)
    for _ in range(3):
        refused = upload(client, content=b"x" * 200)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
        assert upload(client, content=b"").json()["error"]["code"] == "no_video"
        answer = client.post("/api/v1/translations", data={"lang": "eng_Latn"})
        assert answer.status_code == 415
        form = client.post("/api/v1/translations", files={"other": ("a.mp4", b"x")})
        assert form.status_code == 422
        assert client.post("/api/v1/translations", content=b"x").status_code == 415
    assert not list((tmp_path / "data" / "jobs").iterdir())
    assert client.get("/healthz").json() == {"status": "ok", "queued": 0, "running": 0}
    assert upload(client, content=b"x").status_code == 202
