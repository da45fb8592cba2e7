"""Bundles are found by name and by path, and what is damaged or absent is named."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slt.assets import store
from slt.assets.cards import (
    BundleCard,
    DecoderCard,
    EncoderCard,
    ExtractorCard,
    PreprocessCard,
    sha256_of,
    write_card,
)
from slt.assets.lockfile import FetchedFile, add_record
from slt.assets.published import FETCHABLE, files_folder
from slt.assets.store import find_bundle, find_folder, list_bundles, remove_model, verify_model
from slt.core.errors import SltError, UserError
from slt.core.home import slt_home


def make_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in ("x", "e", "d", "t"):
        (folder / file).write_text(f"what {file} holds")
    card = BundleCard(
        name=folder.name,
        summary="nothing much",
        licence="Apache-2.0",
        languages=("eng_Latn",),
        preprocess=PreprocessCard(),
        extractor=ExtractorCard(kind="signhiera", config={}, weights="x"),
        encoder=EncoderCard(kind="sonar-t5", config={}, weights="e"),
        decoder=DecoderCard(kind="sonar", config={}, weights="d", tokenizer="t"),
    )
    write_card(folder, card)
    return folder


def pretend_fetched(name: str = "sonar-asl") -> Path:
    """Put small files where those of something published would lie, with their record."""
    folder = files_folder(name)
    folder.mkdir(parents=True)
    for file in FETCHABLE[name].choose(text_encoder=False):
        path = folder / file.name
        path.write_text(file.summary)
        size = path.stat().st_size
        known = FetchedFile(url=None, size=size, sha256=sha256_of(path), fetched_at="2026-01-01", licence="free")
        add_record(folder, file.name, known)
    return folder


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Stand in for the package's own bundle."""
    folder = make_bundle(tmp_path / "package" / "demo")
    monkeypatch.setattr(store, "demo_folder", lambda: folder)
    return folder


@pytest.fixture
def no_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "demo_folder", lambda: tmp_path / "package" / "demo")


def test_the_demo_lies_in_the_package():
    import slt

    assert store.demo_folder() == Path(slt.__file__).parent / "demo" / "bundle"


def test_found_by_name(demo):
    mine = make_bundle(slt_home() / "bundles" / "mine")
    assert find_bundle("demo").folder == demo
    assert find_bundle("mine").folder == mine
    assert list_bundles() == {"demo": demo, "mine": mine}


def test_found_by_path_of_its_folder_or_of_a_run(demo, tmp_path, monkeypatch):
    folder = make_bundle(tmp_path / "run" / "bundle")
    assert find_bundle(folder).folder == folder
    assert find_bundle(str(tmp_path / "run")).folder == folder
    monkeypatch.chdir(tmp_path)
    assert find_bundle("run").folder == Path("run/bundle")


def test_the_published_model_is_found_once_it_is_here(demo):
    folder = make_bundle(slt_home() / "bundles" / "sonar-asl")
    assert find_bundle("sonar-asl").folder == folder


def test_its_files_are_named(demo):
    bundle = find_bundle("demo")
    assert bundle.path(bundle.card.extractor.weights) == demo / "x"
    bundle.verify()


def test_the_published_model_is_offered_until_its_files_are_here(demo):
    with pytest.raises(
        UserError, match=r"sonar-asl is not here; its files, about 6\.69 GB, .* CC-BY-NC 4\.0"
    ) as caught:
        find_bundle("sonar-asl")
    assert "slt models fetch sonar-asl" in caught.value.fix
    pretend_fetched()
    with pytest.raises(UserError, match=r"files of sonar-asl are in .*sonar-asl, but no model has been made") as caught:
        find_bundle("sonar-asl")
    assert caught.value.fix == "slt models import --name sonar-asl"


def test_a_model_lies_in_its_bundle_or_as_its_files(demo):
    with pytest.raises(UserError, match="no model 'sonar-asl' is here; here are: demo") as caught:
        find_folder("sonar-asl")
    assert caught.value.fix == "fetch it: slt models fetch sonar-asl"
    with pytest.raises(UserError, match="no model 'dmeo' is here") as caught:
        find_folder("dmeo")
    assert caught.value.fix == "did you mean demo?"
    files = pretend_fetched()
    assert find_folder("sonar-asl") == files
    folder = make_bundle(slt_home() / "bundles" / "sonar-asl")
    assert find_folder("sonar-asl") == folder


def test_both_the_bundle_and_the_fetched_files_are_verified(demo, tmp_path):
    files = pretend_fetched()
    assert verify_model("sonar-asl") == 4
    assert verify_model(str(files)) == 4
    folder = make_bundle(slt_home() / "bundles" / "sonar-asl")
    assert verify_model("sonar-asl") == 8
    assert verify_model(str(folder)) == 4
    (files / "sonar_text_decoder.pt").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"sonar_text_decoder\.pt has changed since"):
        verify_model("sonar-asl")


def test_a_model_is_removed_with_its_files(demo):
    files, folder = pretend_fetched(), make_bundle(slt_home() / "bundles" / "sonar-asl")
    mine = make_bundle(slt_home() / "bundles" / "mine")
    assert remove_model("sonar-asl") == [folder, files]
    assert not files.exists()
    assert list_bundles() == {"demo": demo, "mine": mine}
    with pytest.raises(UserError, match="no model 'sonar-asl' is here"):
        remove_model("sonar-asl")
    with pytest.raises(UserError, match="comes with the package"):
        remove_model("demo")


@pytest.mark.parametrize("name", FETCHABLE)
def test_whatever_was_fetched_can_be_found_verified_and_removed(demo, name):
    folder = pretend_fetched(name)
    assert find_folder(name) == folder
    assert verify_model(name) == len(list(folder.iterdir())) - 1
    assert remove_model(name) == [folder]
    assert not folder.exists()


def test_a_linked_bundle_loses_its_link_too(demo, tmp_path):
    (slt_home() / "bundles").mkdir(parents=True)
    (slt_home() / "bundles" / "mine").symlink_to(make_bundle(tmp_path / "elsewhere"))
    remove_model("mine")
    assert list_bundles() == {"demo": demo}
    assert list((slt_home() / "bundles").iterdir()) == []


def test_what_cannot_be_removed_is_told(demo, monkeypatch):
    make_bundle(slt_home() / "bundles" / "mine")

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.shutil, "rmtree", refuse)
    with pytest.raises(SltError, match=r"cannot remove .*mine: Permission denied"):
        remove_model("mine")
    assert list_bundles() == {"demo": demo}


def test_unknown_name_is_answered_with_the_nearest(demo):
    with pytest.raises(UserError, match="unknown model 'dmeo'; known: demo, sonar-asl") as caught:
        find_bundle("dmeo")
    assert caught.value.fix == "did you mean demo?"


def test_folder_without_a_card_is_no_bundle(demo, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is no bundle: it has no card\.json, and no bundle/card\.json"):
        find_bundle(tmp_path / "empty")


@pytest.mark.usefixtures("no_demo")
def test_installation_without_its_demo_says_so():
    assert list_bundles() == {}
    with pytest.raises(SltError, match="this installation lacks its demo bundle") as caught:
        find_bundle("demo")
    assert caught.value.exit_code == 1
    assert "slt demo --train" in caught.value.fix


def test_absent_files_are_told_at_once(demo):
    (demo / "x").unlink()
    (demo / "t").unlink()
    with pytest.raises(UserError, match="is not whole: it lacks x, t") as caught:
        find_bundle("demo")
    assert "again" in caught.value.fix


def test_verifying_names_all_that_is_damaged(demo):
    bundle = find_bundle("demo")
    (demo / "x").write_text("changed")
    (demo / "e").unlink()
    message = rf"the bundle in {demo} is damaged: x has the sha256 \w+, expected \w+; e is missing$"
    with pytest.raises(UserError, match=message):
        bundle.verify()


def test_a_file_without_a_hash_does_not_pass_for_verified(demo):
    bundle = find_bundle("demo")
    bundle = replace(bundle, card=replace(bundle.card, sha256={}))
    with pytest.raises(UserError, match="x has no sha256 in the card; e has no sha256"):
        bundle.verify()


def test_finding_a_bundle_loads_no_torch():
    code = "import sys, slt.assets.store, slt.core.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
