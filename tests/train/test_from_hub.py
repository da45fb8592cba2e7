# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""A model on the hub is what a training begins with, and what comes of it goes back there, under its licence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from slt.assets.cards import read_card, write_card
from slt.assets.hub_names import HubName
from slt.core.errors import UserError
from slt.evaluate.model import ModelSettings
from slt.pipeline.translator import Translator
from slt.sharing.push import pack, push
from tests.bundles import bundle, clip, own_bundle
from tests.hub_server import HubServer, hub, logged_in
from tests.train.whole import finish

NC = "CC-BY-NC-4.0"


@pytest.mark.slow
def test_there_and_back_again(hub, logged_in, make, own_bundle, clip, tmp_path):
    write_card(own_bundle, replace(read_card(own_bundle), licence=NC))
    begun = f"hf:lab/signs@{push(pack(own_bundle, HubName(repo='lab/signs')))}"
    here = "hf:lab/signs"
    recipe = make(
        extractor={"kind": "signhiera", "bundle": here},
        encoder={"kind": "sonar-t5", "weights": here},
        decoder={"kind": "sonar", "bundle": here},
        trainer={"epochs": 1, "text_every": 0, "device": "cpu"},
    )
    run = finish(recipe, tmp_path / "runs" / "tuned")
    card = read_card(run.bundle)
    assert card.licence == NC
    assert [one["from"] for one in card.made["made_of"]] == [begun] * 3
    assert json.loads((run.folder / "assets.json").read_text())["encoder"]["weights"] == begun
    write_card(run.bundle, replace(card, licence="MIT"))
    with pytest.raises(UserError, match=rf"card says MIT, but it was made of hf:lab/signs@.*, which is under {NC}"):
        pack(run.folder, HubName(repo="me/tuned"))
    write_card(run.bundle, card)
    push(pack(run.folder, HubName(repo="me/tuned")))
    readme = hub.repos["me/tuned"].files["README.md"].decode()
    assert "license: cc-by-nc-4.0" in readme
    assert "- lab/signs\n" in readme
    assert str(tmp_path).encode() not in b"".join(hub.repos["me/tuned"].files.values())
    there = Translator("hf:me/tuned", device="cpu").translate(clip)
    assert there.text() == Translator(run.folder, device="cpu").translate(clip).text()
    commit = hub.repos["me/tuned"].refs["main"]
    assert ModelSettings(model="hf:me/tuned", lang="eng_Latn").fingerprint()["hub"] == f"hf:me/tuned@{commit}"
