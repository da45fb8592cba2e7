from __future__ import annotations

import pytest

from slt.assets.lockfile import FetchedFile, add_record
from slt.assets.published import PUBLISHED_TEXT, files_folder, find_published
from slt.assets.text_models import find_text_model, licence_of
from slt.core.errors import UserError


def put(name):
    folder = files_folder(name)
    folder.mkdir(parents=True)
    for file in PUBLISHED_TEXT[name].files:
        (folder / file.name).write_bytes(b"x")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", PUBLISHED_TEXT)
def test_a_published_name_is_its_folder_once_its_files_are_there(name):
    with pytest.raises(UserError, match=rf"{name} is not here: .* lacks config\.json, ") as raised:
        find_text_model(name)
    assert f"slt models fetch {name}" in raised.value.fix
    folder = put(name)
    assert find_text_model(name) == folder
    assert find_published(name).files[0].url.startswith("https://")
    assert licence_of(name) in ("Apache-2.0", "MIT", "CC-BY-NC-4.0")


def test_a_file_that_changed_since_it_was_fetched_is_refused():
    folder = put("t5-small")
    record = FetchedFile(url=None, size=2, sha256="0" * 64, fetched_at="2026-01-01T00:00:00Z", licence="Apache 2.0")
    add_record(folder, "config.json", record)
    with pytest.raises(UserError, match="has changed since"):
        find_text_model("t5-small")


def test_a_folder_is_itself_and_anything_else_is_unknown(tmp_path):
    assert find_text_model(str(tmp_path)) == tmp_path
    assert licence_of(str(tmp_path)).startswith("unknown")
    with pytest.raises(UserError, match="no text model 't5-smal': neither a folder") as raised:
        find_text_model("t5-smal")
    assert raised.value.fix.startswith("did you mean t5-small or ")
