# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from slt.assets.cards import read_card, sha256_of, write_card
from slt.assets.hub_names import HubName
from slt.assets.lockfile import FetchedFile, add_record
from slt.assets.published import files_folder
from slt.assets.store import demo_folder, find_bundle
from slt.core.errors import SltError, UserError
from slt.core.home import slt_home
from slt.evaluate.results import read_results, write_json
from slt.sharing.push import pack, push
from tests.hub_server import TOKEN, HubServer, hub, logged_in
from tests.test_formats import GOLDEN

NAME = HubName(repo="me/signs")
NC, OWN = "CC-BY-NC-4.0", "own (all of it began at random)"


@pytest.fixture
def run(tmp_path):
    """A run whose bundle has the demo's models."""
    folder = tmp_path / "runs" / "signs"
    shutil.copytree(demo_folder(), folder / "bundle", copy_function=shutil.copyfile)
    return folder


def say(run: Path, **changed: object) -> None:
    """Let the card of a run's bundle say otherwise."""
    write_card(run / "bundle", replace(read_card(run / "bundle"), **changed))  # type: ignore[arg-type]


def add_results(run: Path, folder: Path, *, of: str | None = None) -> Path:
    """Write results of a run's bundle, or of another model."""
    results = json.loads((GOLDEN / "scores" / "results.json").read_text("utf-8"))
    results["source"] |= {"card_sha256": of or sha256_of(run / "bundle" / "card.json")}
    results["source"] |= {"manifest": "/scratch/ann/how2sign/test.tsv"}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", results)
    return folder


def front(readme: str) -> dict:
    return yaml.safe_load(readme.split("---\n")[1])


def test_what_is_shared_can_be_translated_with(hub, logged_in, run, capsys):
    commit = push(pack(run, NAME), private=True)
    repo = hub.repos["me/signs"]
    assert (repo.refs["main"], repo.private) == (commit, True)
    bundle = find_bundle("hf:me/signs")
    assert bundle.folder.name == commit
    bundle.verify()
    assert set(repo.files) - set(bundle.card.files) == {"README.md", "card.json", ".gitattributes"}
    output = capsys.readouterr()
    assert TOKEN not in output.out + output.err
    assert all(TOKEN.encode() not in content for content in repo.files.values())


def test_what_the_hub_has_is_not_sent_again(hub, logged_in, run):
    push(pack(run, NAME))
    sent = sum(line.startswith("PUT") for line in hub.asked_for)
    hub.asked_for.clear()
    repo = hub.repos["me/signs"]
    repo.commit({**repo.files, "old.safetensors": b"1"})
    say(run, summary="a better one")
    push(pack(run, NAME))
    assert sent == 6
    assert not [line for line in hub.asked_for if line.startswith("PUT")]
    assert "a better one" in repo.files["README.md"].decode()
    assert "old.safetensors" not in repo.files


def test_a_busy_hub_is_asked_again(hub, logged_in, run):
    hub.replies["/api/models/me/signs/commit/main"] = [(503, {}, b"")]
    assert push(pack(run, NAME)) == hub.repos["me/signs"].refs["main"]


def test_the_card_tells_the_hub_what_it_is(run):
    made_of = [
        {"part": "encoder", "from": "hf:lab/asl@" + "1" * 40, "licence": NC},
        {"part": "decoder", "from": "mbart-large-50", "licence": "MIT"},
    ]
    recipe = {"data": {"train": {"manifest": "/data/me/how2sign/train.tsv"}}, "objective": {"kind": "distance"}}
    say(run, licence=f"{NC} AND MIT", made={"made_of": made_of, "recipe": recipe, "figures": {"bleu": 12.5}})
    add_results(run, run / "scores")
    readme = pack(run, NAME).readme
    about = front(readme)
    assert (about["license"], about["language"]) == ("cc-by-nc-4.0", ["en", "de"])
    assert about["base_model"] == ["facebook/mbart-large-50", "lab/asl"]
    assert about["library_name"] == "slt"
    metrics = {one["type"]: one for one in about["model-index"][0]["results"][0]["metrics"]}
    assert metrics["bleu"]["name"] == "BLEU-4 (95 % interval 0.00 to 0.00)"
    assert about["model-index"][0]["results"][0]["dataset"]["name"] == "how2sign/test.tsv"
    for words in (
        "It is not for commercial use",
        f"| hf:lab/asl@{'1' * 40} | encoder | {NC} |",
        "- data: how2sign/train.tsv",
        "- objective: distance",
        "On how2sign/test.tsv: 3 clips, English",
        "slt translate video.mp4 --model hf:me/signs",
        'langs=["eng_Latn"]',
        "## Limits",
    ):
        assert words in readme, words
    assert not any(place in readme for place in ("/data/me", "/scratch", str(run)))


def test_a_model_without_scores_says_so(run):
    say(run, made={"figures": {"bleu": 12.5, "note": "x"}})
    readme = pack(run, NAME).readme
    assert "not evaluated on a test set. During training it reached, on its validation clips: bleu 12.5." in readme
    assert "model-index" not in readme


def test_cards_of_many_languages_and_licences(run):
    languages = ("eng_Latn", "deu_Latn", "acm_Arab", "zho_Hans", "zho_Hant", *("fra_Latn",) * 5)
    say(run, licence="CC-BY-NC-4.0 AND GPL-3.0", languages=languages)
    about = front(readme := pack(run, NAME).readme)
    assert about["language"] == ["en", "de", "acm", "zh", "zho", "fr"]
    assert (about["license"], about["license_name"]) == ("other", "cc-by-nc-4.0-and-gpl-3.0")
    assert "10 languages" in readme


def test_what_a_card_says_is_text_and_no_markup(run):
    say(run, summary="<script>alert(1)</script>\x1b[2J\n# [a](b) {{ 7 * 7 }}")
    readme = pack(run, NAME).readme
    assert r"\<script\>alert(1)\</script\> \[2J \# \[a\](b) \{\{ 7 \* 7 \}\}" in readme


def test_places_on_this_machine_are_nobodys_concern(run):
    summary = "it was trained as x, on /scratch/ann/sets/how2sign/train.tsv and https://site.example/a/b"
    domain = replace(read_card(run / "bundle").domain, summary=summary)
    say(run, domain=domain, made={"recipe": {"a": ["/mnt/big disk/sets/val.tsv", "~/x/y/z", 3], "b": "rel/a/b"}})
    card = pack(run, NAME).share.card
    assert card.made["recipe"] == {"a": ["sets/val.tsv", "y/z", 3], "b": "rel/a/b"}
    assert "ann" not in card.domain.summary
    assert "https://site.example/a/b" in card.domain.summary


def test_the_licence_of_what_it_began_with_stays(run):
    say(run, licence=NC)
    assert pack(run, NAME).share.card.licence == NC
    with pytest.raises(UserError, match=r"under CC-BY-NC-4\.0, so it cannot be shared under MIT") as caught:
        pack(run, NAME, licence="mit")
    assert "without --licence" in caught.value.fix


def test_a_card_cannot_shake_off_what_it_was_made_of(run):
    say(run, licence="MIT", made={"made_of": [{"part": "encoder", "from": "sonar-asl", "licence": NC}]})
    with pytest.raises(UserError, match=r"card says MIT, but it was made of sonar-asl, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)


def test_nor_what_its_run_began_with(run):
    (run / "assets.json").write_text(json.dumps({"encoder": {"weights": "/w/enc.pth", "licence": NC}}))
    with pytest.raises(UserError, match=r"made of /w/enc\.pth, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)
    (run / "assets.json").write_text("[]")
    pack(run, NAME)


def test_nor_whose_files_it_has(run):
    theirs = slt_home() / "bundles" / "theirs"
    shutil.copytree(run / "bundle", theirs)
    write_card(theirs, replace(read_card(theirs), licence=NC))
    with pytest.raises(UserError, match=r"made of theirs, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)


def test_nor_what_its_page_said(run):
    theirs = HubName(repo="lab/asl").folder / ("1" * 40)
    shutil.copytree(run / "bundle", theirs)
    (theirs.parent / "pins.json").write_text(json.dumps({"format": 1, "revisions": {"main": "1" * 40}}))
    says = "Apache-2.0; its page says cc-by-nc-4.0"
    record = FetchedFile(url=None, size=1, sha256="0" * 64, fetched_at="now", licence=says)
    add_record(theirs, "encoder.safetensors", record)
    with pytest.raises(UserError, match=r"made of hf:lab/asl, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)

    card = read_card(run / "bundle")
    write_card(theirs, replace(card, decoder=replace(card.decoder, text_encoder=None), licence="MIT"))
    for path in theirs.glob("*.safetensors"):
        path.write_bytes(path.name.encode())  # no file in common
    write_card(theirs, read_card(theirs))
    say(run, made={"made_of": [{"part": "encoder", "from": "hf:lab/asl", "licence": "MIT"}]})
    with pytest.raises(UserError, match=r"made of hf:lab/asl, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)


def test_nor_the_published_files_it_was_imported_from(run):
    record = FetchedFile(url=None, size=1, sha256="a" * 64, fetched_at="now", licence="no commerce")
    files_folder("sonar-asl").mkdir(parents=True)
    add_record(files_folder("sonar-asl"), "dm_70h_ub_signhiera.pth", record)
    say(run, licence="MIT", made={"sources": {"signhiera": {"file": "x.pth", "sha256": "a" * 64}}})
    with pytest.raises(UserError, match=r"made of sonar-asl, which is under CC-BY-NC-4\.0"):
        pack(run, NAME)


def test_a_damaged_model_beside_hides_nothing(run, capsys):
    broken = slt_home() / "bundles" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{")
    pack(run, NAME)
    assert "whether anything came from broken is not known" in capsys.readouterr().err


def test_a_licence_of_ones_own_must_be_chosen(run, tmp_path, monkeypatch):
    monkeypatch.setattr("slt.assets.store.demo_folder", lambda: tmp_path)
    say(run, licence=OWN)
    with pytest.raises(UserError, match="has no licence yet") as caught:
        pack(run, NAME)
    assert "--licence apache-2.0" in caught.value.fix
    assert front(pack(run, NAME, licence="mit").readme)["license"] == "mit"


def test_scores_of_another_model_are_refused(run, tmp_path):
    other = add_results(run, tmp_path / "other", of="0" * 64)
    with pytest.raises(UserError, match="not of this very model"):
        pack(run, NAME, results=[other])
    mine = add_results(run, tmp_path / "mine")
    assert len(pack(run, NAME, results=[mine]).share.results) == 1
    add_results(run, run / "old", of="0" * 64)
    assert pack(run, NAME).share.results == ()


def test_only_safetensors_and_tokenizers_are_shared(run):
    weights = run / "bundle" / "encoder.safetensors"
    weights.write_bytes(pickle.dumps(print))
    say(run)
    with pytest.raises(UserError, match=r"encoder\.safetensors is no safetensors file"):
        pack(run, NAME)
    weights.rename(weights.with_suffix(".bin"))
    say(run, encoder=replace(read_card(run / "bundle").encoder, weights="encoder.bin"))
    with pytest.raises(UserError, match=r"encoder\.bin is of a kind that is never shared"):
        pack(run, NAME)


def test_a_damaged_bundle_is_not_shared(run):
    with open(run / "bundle" / "encoder.safetensors", "ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="is damaged"):
        pack(run, NAME)
    with pytest.raises(UserError, match="names a revision"):
        pack("demo", NAME.at("v1"))


def test_who_is_not_logged_in_is_told(hub, run, monkeypatch):
    with pytest.raises(UserError, match="wants to know who you are") as caught:
        push(pack(run, NAME))
    assert "HF_TOKEN" in caught.value.fix
    assert hub.asked_for == []
    monkeypatch.setenv("HF_TOKEN", "hf_wrong1234567890")
    with pytest.raises(UserError, match=r"answered 401|is private") as caught:
        push(pack(run, NAME))
    assert "hf_wrong" not in f"{caught.value}{caught.value.fix}"


def test_offline_nothing_is_sent(hub, run, logged_in, monkeypatch):
    monkeypatch.setenv("SLT_OFFLINE", "1")
    with pytest.raises(UserError, match="SLT_OFFLINE is set, and sharing needs the hub"):
        push(pack(run, NAME))
    assert hub.asked_for == []


def test_a_token_is_not_sent_unencrypted(hub, run, logged_in, monkeypatch):
    monkeypatch.setattr("slt.assets.hub_client._is_this_machine", lambda url: False)
    with pytest.raises(UserError, match="is not encrypted, and your token is not sent there"):
        push(pack(run, NAME))
    assert hub.asked_for == []


def test_others_files_are_left_alone(hub, run, logged_in):
    hub.repo("me/signs", {"model.py": b"x", "README.md": b"---\n---\n"})
    with pytest.raises(UserError, match=r"holds something else than a bundle: model\.py"):
        push(pack(run, NAME))
    hub.repos["me/signs"].commit({"README.md": b"---\n---\n"})
    with pytest.raises(UserError, match="there already, and public"):
        push(pack(run, NAME), private=True)
    push(pack(run, NAME))


def test_a_store_that_refuses_is_named(hub, run, logged_in):
    digest = read_card(run / "bundle").sha256["encoder.safetensors"]
    hub.replies[f"/lfs/{digest}"] = [(403, {}, b"")] * 20
    with pytest.raises(SltError, match="answered 403"):
        push(pack(run, NAME))
    assert "card.json" not in hub.repos["me/signs"].files
