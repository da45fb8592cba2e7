from __future__ import annotations

import json
import shutil

import pytest

from slt.home import slt_home


@pytest.fixture
def home(bundle):
    """SLT_HOME with two models of one's own in it."""
    for name in ("mine", "yours"):
        shutil.copytree(bundle, slt_home() / "bundles" / name)
    return slt_home()


def test_models_are_listed_for_people_and_programs(slt, home):
    lines = [line.split("\t") for line in slt("models", "list").out.splitlines()]
    assert ["mine", "eng_Latn,deu_Latn", "Apache-2.0", "an untrained model"] in lines
    told = {model["name"]: model for model in map(json.loads, slt("models", "list", "--json").out.splitlines())}
    assert told["yours"]["folder"] == str(home / "bundles" / "yours")
    assert told["yours"]["languages"] == ["eng_Latn", "deu_Latn"]


def test_no_models_is_told_to_people(slt, monkeypatch, tmp_path):
    monkeypatch.setattr("slt.assets.store.demo_folder", lambda: tmp_path)
    outcome = slt("models", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "slt demo --train" in outcome.err


def test_whole_models_are_verified(slt, home, bundle):
    outcome = slt("models", "verify", "mine", bundle)
    assert outcome.code == 0
    assert outcome.out == f"mine\tok\t5 files\n{bundle}\tok\t5 files\n"


def test_a_model_that_changed_is_named(slt, home):
    with open(home / "bundles" / "mine" / "encoder.safetensors", "ab") as file:
        file.write(b"x")
    outcome = slt("models", "verify", "mine", "yours")
    assert outcome.code == 3
    assert outcome.out == "yours\tok\t5 files\n"
    assert "1 of 2 models failed" in outcome.err
    assert "encoder.safetensors has the sha256" in outcome.err
    assert slt("models", "verify", "mine").code == 2


def test_a_model_with_an_unreadable_card_hides_no_other(slt, home):
    (home / "bundles" / "mine" / "card.json").write_text("{")
    outcome = slt("models", "list")
    assert outcome.code == 3
    assert "yours\t" in outcome.out
    assert "card.json is not JSON" in outcome.err
