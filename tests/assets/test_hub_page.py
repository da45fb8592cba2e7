# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Files of a model page of the hub: listed with its licence, fetched by name, held against what the hub lists."""

from __future__ import annotations

import pytest

from slt.assets.hub_page import fetch_from_page, page_folder, page_name, read_page
from slt.assets.lockfile import read_records
from slt.assets.text_models import find_text_model
from slt.core.errors import SltError, UserError
from tests.hub_server import hub

NAME = page_name("lab/Signs")
FILES = {
    "how2sign.pth": b"weights" * 1000,
    "other/openasl.bin": b"more" * 500,
    "README.md": b"---\nlicense: mit\n---\n",
}


@pytest.fixture
def lab(hub):
    return hub.repo("lab/Signs", FILES, page={"license": "cc-by-nc-4.0"})


def test_a_page_lists_its_files_and_licence(lab):
    page = read_page(NAME)
    assert {name: file.size for name, file in page.files.items()} == {name: len(own) for name, own in FILES.items()}
    assert page.licence == "cc-by-nc-4.0"
    assert page.commit == lab.refs["main"]
    lab.page = {}
    assert read_page(NAME).licence == "unknown: its page names none"
    lab.page = {"license": "other", "license_name": "own\x1b[31m terms", "license_link": "https://x.invalid/l"}
    assert read_page(NAME).licence == "own [31m terms, https://x.invalid/l"


def test_named_files_are_fetched_and_recorded_with_the_licence(hub, lab, capsys):
    found = fetch_from_page(read_page(NAME), ["how2sign.pth", "other/openasl.bin"])
    assert [path.read_bytes() for path in found] == [FILES["how2sign.pth"], FILES["other/openasl.bin"]]
    assert {path.parent for path in found} == {page_folder(NAME)}
    records = read_records(page_folder(NAME))
    assert {name: one.licence for name, one in records.items()} == dict.fromkeys(
        ("how2sign.pth", "openasl.bin"), "cc-by-nc-4.0"
    )
    assert records["openasl.bin"].url.endswith(f"/resolve/{lab.refs['main']}/other/openasl.bin")
    assert "licence: cc-by-nc-4.0" in capsys.readouterr().err
    asked = len(hub.asked_for)
    assert fetch_from_page(read_page(NAME), ["how2sign.pth"]) == found[:1]
    assert all("resolve" not in one for one in hub.asked_for[asked:]), "what is here is not fetched again"


def test_files_that_changed_are_not_taken_for_those_that_came(lab):
    (path,) = fetch_from_page(read_page(NAME), ["other/openasl.bin"])
    lab.commit({**FILES, "other/openasl.bin": b"new" * 700})
    with pytest.raises(UserError, match="its page has another file now"):
        fetch_from_page(read_page(NAME), ["other/openasl.bin"])
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="has changed since"):
        fetch_from_page(read_page(NAME), ["other/openasl.bin"])


def test_what_a_page_does_not_have_is_told(lab):
    with pytest.raises(UserError, match=r"hf:lab/Signs has no how2signs\.pth") as raised:
        fetch_from_page(read_page(NAME), ["how2signs.pth"])
    assert "did you mean how2sign.pth" in raised.value.fix
    with pytest.raises(UserError, match="no model lab/Nothing"):
        read_page(page_name("lab/Nothing"))
    with pytest.raises(UserError, match="names no model on the hub"):
        page_name("Signs")


def test_a_hub_that_lists_other_files_than_it_gives_is_refused(lab):
    lab.listed = {"other/openasl.bin": {"lfs": {"size": 2000, "sha256": "0" * 64, "pointerSize": 130}}}
    with pytest.raises(SltError, match=r"other/openasl\.bin of hf:lab/Signs has 2000 bytes .*: refused"):
        fetch_from_page(read_page(NAME), ["other/openasl.bin"])
    assert not read_records(page_folder(NAME))
    lab.listed = {"../../home": {"size": 3}}
    with pytest.raises(SltError, match=r"lists a file that cannot be one: \.\./\.\./home"):
        read_page(NAME)
    lab.listed, lab.refs["main"] = {}, "not a commit"
    lab.commits["not a commit"] = FILES
    with pytest.raises(SltError, match="gives hf:lab/Signs a commit that is none: not a commit"):
        read_page(NAME)


def test_offline_a_page_is_not_asked_for(lab, monkeypatch):
    monkeypatch.setenv("SLT_OFFLINE", "1")
    with pytest.raises(UserError, match="SLT_OFFLINE is set"):
        read_page(NAME)


def test_a_text_model_may_be_of_a_page(hub, tmp_path):
    hub.repo("lab/mt5", {"config.json": b"{}", "spiece.model": b"pieces"})
    fetch_from_page(read_page(page_name("lab/mt5")), ["config.json", "spiece.model"])
    assert find_text_model("lab/mt5") == page_folder(page_name("lab/mt5"))
