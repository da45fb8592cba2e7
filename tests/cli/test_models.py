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


@pytest.fixture
def files(bundle, tmp_path):
    """The options of an import of tiny checkpoints in the published layout."""
    from tests.checkpoints import write_config, write_sources

    sources = write_sources(bundle, tmp_path / "published")
    options = {f"--{part.replace('_', '-')}": path for part, path in sources.files.items()}
    return options | {"--config": write_config(bundle, tmp_path / "import.json")}


def words(options):
    return [word for option in options.items() for word in option]


def test_published_files_become_a_model_that_translates(slt, files, bundle, clip):
    outcome = slt("models", "import", "--name", "own", *words(files))
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"own\t{slt_home() / 'bundles' / 'own'}\n"
    assert "licence: Apache-2.0" in outcome.err
    assert slt("models", "verify", "own").out == "own\tok\t5 files\n"
    assert slt("translate", clip, "--model", "own").out == slt("translate", clip, "--model", bundle).out
    assert slt("models", "import", "--name", "own", *words(files)).code == 2


def test_without_text_models_nothing_is_imported(slt, files):
    few = {option: files[option] for option in ("--signhiera", "--sign-encoder", "--config")}
    outcome = slt("models", "import", "--name", "own", *words(few))
    assert (outcome.code, outcome.out) == (2, "")
    assert "--text-decoder and --tokenizer" in outcome.err


def test_files_of_other_sizes_are_refused_without_a_config(slt, files):
    outcome = slt("models", "import", "--name", "own", *words({k: v for k, v in files.items() if k != "--config"}))
    assert outcome.code == 2
    assert "does not fit SignHiera" in outcome.err
    assert not (slt_home() / "bundles" / "own").exists()
