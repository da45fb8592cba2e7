"""Records are added one by one, and every file is held against its own."""

import json

import pytest

from slt.assets.cards import sha256_of
from slt.assets.lockfile import FetchedFile, add_record, check_file, read_records, verify_files
from slt.core.errors import UserError


def record(folder, name: str, content: bytes) -> FetchedFile:
    (folder / name).write_bytes(content)
    digest = sha256_of(folder / name)
    file = FetchedFile(
        url="https://x/y", size=len(content), sha256=digest, etag='"e"', fetched_at="today", licence="free"
    )
    add_record(folder, name, file)
    return file


def test_records_read_back(tmp_path):
    assert read_records(tmp_path / "nowhere") == {}
    a, b = record(tmp_path, "a", b"1"), record(tmp_path, "b", b"2")
    assert read_records(tmp_path) == {"a": a, "b": b}
    assert json.loads((tmp_path / "fetched.json").read_text())["files"]["a"]["etag"] == '"e"'


def test_all_files_are_verified_and_all_damage_is_told(tmp_path):
    for name in "abc":
        record(tmp_path, name, name.encode())
    assert verify_files(tmp_path) == 3
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_bytes(b"xx")
    (tmp_path / "c").write_bytes(b"x")
    message = r"a is missing; .*b has changed since today: it has 2 bytes, recorded was 1 bytes; .*c has .* the sha256"
    with pytest.raises(UserError, match=message) as caught:
        verify_files(tmp_path)
    assert "slt models fetch" in caught.value.fix


def test_a_missing_file_is_told(tmp_path):
    known = record(tmp_path, "a", b"1")
    check_file(tmp_path / "a", known)
    (tmp_path / "a").unlink()
    with pytest.raises(UserError, match="a is missing"):
        check_file(tmp_path / "a", known)
