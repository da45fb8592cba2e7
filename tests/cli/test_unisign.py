# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Uni-Sign by the commands a user has: list the page, fetch a file of it, import it."""

from __future__ import annotations

import json

import pytest

from slt.assets.cards import read_card
from slt.core.home import slt_home
from slt_cli.main import main
from tests.hub_server import hub
from tests.unisign_bundle import write_checkpoint, write_mt5


@pytest.fixture
def page(hub, tmp_path):
    file = write_checkpoint(tmp_path / "pose.pth")
    mt5 = write_mt5(tmp_path / "mt5")
    hub.repo("lab/mt5", {path.name: path.read_bytes() for path in mt5.iterdir()})
    return hub.repo("lab/Uni", {"pose.pth": file.read_bytes(), "README.md": b"---\n"}, page={"license": "cc-by-4.0"})


def test_a_page_is_listed_with_its_licence(page, capsys):
    assert main(["models", "fetch", "--page", "lab/Uni"]) == 0
    said = capsys.readouterr()
    assert [line.split("\t")[0] for line in said.out.splitlines()] == ["pose.pth", "README.md"]
    assert "licence: cc-by-4.0" in said.err
    assert main(["models", "fetch", "--page", "lab/Uni", "--mirror", "http://x.invalid"]) == 2


def test_what_was_fetched_from_a_page_is_imported_under_its_licence(page, capsys):
    assert main(["models", "fetch", "--page", "lab/Uni", "pose.pth"]) == 0
    file = capsys.readouterr().out.strip()
    assert main(["models", "fetch", "--page", "lab/mt5", "config.json", "spiece.model"]) == 0
    words = ["models", "import", "--kind", "uni-sign", "--name", "uni", file, "--text-model", "lab/mt5"]
    assert main(words) == 0
    assert "licence: cc-by-4.0" in capsys.readouterr().err
    assert read_card(slt_home() / "bundles" / "uni").licence == "cc-by-4.0"
    assert main(["models", "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(one for one in listed if one["name"] == "uni")["languages"] == ["eng_Latn"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "uni-sign"], "no checkpoint given; expected the file that holds all of a pose-only Uni-Sign"),
        (["--kind", "uni-sign", "a.pth", "--tokenizer", "t"], "--tokenizer: parts of a SONAR model, found beside"),
        (["a.pth"], "found the file a.pth without an option that says which part it is"),
        (["--kind", "uni-sign", "a.pth"], "mt5-base is not here: "),
    ],
)
def test_what_cannot_be_imported_is_told(words, said, capsys):
    assert main(["models", "import", "--name", "uni", *words]) == 2
    assert said in capsys.readouterr().err
