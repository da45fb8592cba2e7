from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slt.assets.hub_names import (
    HubName,
    exact_name,
    find_hub_folder,
    forget_revision,
    list_hub_models,
    parse_hub_name,
    read_pins,
    write_pins,
)
from slt.core.errors import UserError
from slt.core.home import slt_home

ONE, TWO = "1" * 40, "2" * 40


def place(name: HubName, **pins: str) -> None:
    for commit in pins.values():
        (name.folder / commit).mkdir(parents=True, exist_ok=True)
    write_pins(name.folder, pins)


def test_names_are_read_and_written_alike():
    for text in ("hf:me/signs", "hf:me/signs@v1.0", "hf:Org-2/a_b.c@refs/pr/1", f"hf:me/signs@{ONE}"):
        assert str(parse_hub_name(text)) == text
    assert parse_hub_name("hf:me/signs@main") == parse_hub_name(Path("hf:me/signs"))


def test_other_names_are_not_the_hubs():
    for text in ("demo", "runs/hf:me", "/a/hf:b/c", "HF:me/signs"):
        assert parse_hub_name(text) is None
        assert exact_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:signs",
        "hf:me/",
        "hf:../signs",
        "hf:me/..",
        "hf:me/a--b",
        "hf:me/a/b",
        "hf:me/signs@",
        "hf:me/signs@../main",
        "hf:me/signs@/etc",
        "hf:me/signs@-x",
        "hf:me/signs@a//b",
        "hf:me/si gns",
        "hf:me/" + 100 * "a",
        "hf:mé/signs",
    ],
)
def test_what_names_nothing_is_refused(text):
    with pytest.raises(UserError, match="names no model on the hub"):
        parse_hub_name(text)


def test_revisions_are_found_at_their_commits():
    name = HubName(repo="me/signs")
    assert (find_hub_folder(name), list_hub_models(), exact_name("hf:me/signs")) == (None, {}, "hf:me/signs")
    place(name, main=ONE, v1=ONE)
    assert find_hub_folder(name) == find_hub_folder(name.at("v1")) == find_hub_folder(name.at(ONE))
    assert find_hub_folder(name.at("v2")) is None
    assert list(list_hub_models()) == ["hf:me/signs", "hf:me/signs@v1"]
    assert exact_name("hf:me/signs@v1") == f"hf:me/signs@{ONE}"
    shutil.rmtree(name.folder / ONE)
    assert list_hub_models() == {}


def test_a_commit_goes_with_its_last_revision():
    name = HubName(repo="me/signs")
    place(name, main=ONE, v1=ONE, v2=TWO)
    assert forget_revision(name) is None
    assert forget_revision(name.at("v1")) == name.folder / ONE
    assert list(list_hub_models()) == ["hf:me/signs@v2"]
    assert forget_revision(name.at("v2")) == name.folder
    assert not any((slt_home() / "hub").iterdir())


def test_damaged_pins_are_never_followed():
    name = HubName(repo="me/signs")
    place(name, main=ONE)
    write_pins(name.folder, {"main": "../../elsewhere"})
    with pytest.raises(UserError, match="expected commits of 40"):
        find_hub_folder(name)
    (name.folder / "pins.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        list_hub_models()
    (name.folder / "pins.json").unlink()
    (name.folder / "pins.json").mkdir()
    with pytest.raises(UserError, match="cannot read"):
        read_pins(name.folder)
