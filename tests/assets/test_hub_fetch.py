# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import threading
import traceback
from pathlib import Path

import numpy as np
import pytest
import requests
from huggingface_hub import errors
from safetensors.numpy import save

from slt.assets.cards import read_card
from slt.assets.hub_client import ask_hub
from slt.assets.hub_fetch import fetch_hub_model, find_or_fetch
from slt.assets.hub_names import HubName, exact_name, find_hub_folder
from slt.assets.lockfile import read_records
from slt.assets.store import (
    SHIPPED,
    demo_folder,
    find_bundle,
    find_card,
    find_folder,
    is_bundle,
    list_bundles,
    remove_model,
    verify_model,
)
from slt.assets.web import TryAgainError
from slt.core.errors import SltError, UserError
from slt.core.home import slt_home
from tests.hub_server import TOKEN, HubServer, hub, logged_in
from tests.servers import drops

NAME = HubName(repo="me/signs")
NEEDED = {"encoder.safetensors", "extractor.safetensors", "text_decoder.safetensors", "text_encoder.safetensors"}
NEEDED |= {"card.json", "tokenizer.model"}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def with_card(files: dict[str, bytes], **changed: object) -> dict[str, bytes]:
    """Return a repository's files with another card, whose hashes are right wherever there is such a file."""
    card = json.loads(files["card.json"])
    for path, value in changed.items():
        *groups, key = path.split("__")
        target = card
        for group in groups:
            target = target[group]
        target[key] = value
    named = [card["extractor"]["weights"], card["encoder"]["weights"]]
    named += [card["decoder"][key] for key in ("weights", "tokenizer", "text_encoder")]
    card["sha256"] = {name: hashlib.sha256(files.get(name, b"")).hexdigest() for name in named}
    return {**files, "card.json": json.dumps(card).encode()}


@pytest.fixture
def files():
    """A bundle's files: the demo's card, and weights of noise."""
    noise = np.random.default_rng(0)
    weights = {name: save({"w": noise.random(2500, np.float32)}) for name in sorted(NEEDED) if name.endswith("tensors")}
    card = (demo_folder() / "card.json").read_bytes()
    about = {"summary": "an untrained model", "name": "signs", "domain": None}
    return with_card({**weights, "tokenizer.model": noise.bytes(200_000), "card.json": card}, **about)


@pytest.fixture
def signs(hub, files):
    """A model on the hub, beside things that nobody needs."""
    extra = {"README.md": b"---\n---\n", "pytorch_model.bin": pickle.dumps(print), "code.py": b"raise SystemExit"}
    return hub.repo("me/signs", {**files, **extra})


def test_only_what_the_card_names_is_fetched_once(hub, signs, files, capsys):
    bundle = find_bundle("hf:me/signs")
    assert bundle.card.summary == "an untrained model"
    bundle.verify()
    assert {name for name, _ in hub.seen} == NEEDED
    assert {path.name for path in bundle.folder.iterdir()} == NEEDED | {"fetched.json"}
    assert files_of(bundle.folder)["encoder.safetensors"] == files["encoder.safetensors"]
    told = capsys.readouterr().err
    order = ["not here yet", "an untrained model", "0.2 MB in all", "licence: Apache-2.0", "accept it"]
    assert [told.index(words) for words in order] == sorted(told.index(words) for words in order)

    asked = len(hub.asked_for)
    assert find_bundle("hf:me/signs").folder == find_folder("hf:me/signs") == list_bundles()["hf:me/signs"]
    assert len(hub.asked_for) == asked


def test_what_came_is_recorded_with_its_commit(hub, signs):
    folder = find_or_fetch(NAME)
    commit = signs.refs["main"]
    assert folder.name == commit
    assert exact_name("hf:me/signs") == f"hf:me/signs@{commit}"
    record = read_records(folder)["encoder.safetensors"]
    assert record.url == f"{hub.url}/me/signs/resolve/{commit}/encoder.safetensors"
    assert (record.licence, record.size) == ("Apache-2.0", (folder / "encoder.safetensors").stat().st_size)
    assert verify_model("hf:me/signs") == len(NEEDED)
    with open(folder / "card.json", "ab") as card:
        card.write(b"\n")
    with pytest.raises(UserError, match=r"card\.json has changed"):
        verify_model("hf:me/signs")


def test_a_revision_stays_until_it_is_fetched_anew(hub, signs, files, capsys):
    first = find_or_fetch(NAME)
    newer = with_card(files, summary="a better model")
    signs.commit(newer)
    assert find_or_fetch(NAME) == first
    second = fetch_hub_model(NAME)
    assert read_card(second).summary == "a better model"
    assert f"the earlier one stays here as hf:me/signs@{first.name}" in capsys.readouterr().err
    assert list(list_bundles()) == [*SHIPPED, "hf:me/signs", f"hf:me/signs@{first.name}"]
    assert fetch_hub_model(NAME) == second
    assert "at its newest commit" in capsys.readouterr().err
    assert remove_model("hf:me/signs") == [second]
    assert remove_model(f"hf:me/signs@{first.name}") == [NAME.folder]
    with pytest.raises(UserError, match="no model 'hf:me/signs' is here") as caught:
        remove_model("hf:me/signs")
    assert caught.value.fix == "fetch it: slt models fetch hf:me/signs"


def test_tags_and_commits_are_revisions(hub, signs, files):
    tagged = signs.commit(with_card(files, summary="the paper's"), "v1")
    assert find_card("hf:me/signs@v1").summary == "the paper's"
    assert find_or_fetch(NAME.at("v1")) == find_or_fetch(NAME.at(tagged))
    with pytest.raises(UserError, match=r"me/signs has no revision v9"):
        find_or_fetch(NAME.at("v9"))


def test_a_card_alone_is_fetched_to_look_at(hub, signs):
    assert find_card("hf:me/signs").languages == ("eng_Latn", "deu_Latn")
    assert {name for name, _ in hub.seen} == {"card.json"}
    assert is_bundle("hf:me/signs")
    assert "hf:me/signs" not in list_bundles()


def test_what_was_cut_off_is_gone_on_with(hub, signs, files):
    whole = len(files["text_decoder.safetensors"])
    hub.faults["text_decoder.safetensors"] = [drops(1000), drops(3000)]
    find_bundle("hf:me/signs").verify()
    ranges = [asked for name, asked in hub.seen if name == "text_decoder.safetensors" and asked]
    assert whole > 3000
    assert ranges == ["bytes=1000-", "bytes=3000-"]


def test_a_fetch_that_failed_goes_on_the_next_time(hub, signs):
    hub.faults["tokenizer.model"] = [drops(5000)] * 20
    with pytest.raises(SltError, match=r"hf:me/signs: no whole answer .* times in a row") as caught:
        find_or_fetch(NAME)
    assert "goes on where it stopped" in caught.value.fix
    assert find_hub_folder(NAME) is None
    assert list_bundles().keys() == set(SHIPPED)
    hub.faults.clear()
    hub.seen.clear()
    find_bundle("hf:me/signs").verify()
    assert {name for name, _ in hub.seen} == {"tokenizer.model"}
    assert ("tokenizer.model", "bytes=5000-") in hub.seen


def test_a_busy_hub_is_asked_again(hub, signs, capsys):
    hub.replies["/api/models/me/signs/revision/main"] = [(503, {}, b""), (429, {"Retry-After": "1"}, b"")]
    find_or_fetch(NAME)
    assert capsys.readouterr().err.count("trying again") == 2


def test_offline_no_socket_is_opened(hub, signs, monkeypatch, tmp_path):
    for variable in ("SLT_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(variable, "1")
        for ask in (find_bundle, find_card):
            with pytest.raises(UserError, match=f"{variable} is set, and hf:me/signs is not here") as caught:
                ask("hf:me/signs")
        assert "slt models fetch hf:me/signs --to DIR" in caught.value.fix
        with pytest.raises(UserError, match="is not here"):
            fetch_hub_model(NAME, to=tmp_path / "there")
        monkeypatch.setenv(variable, "0")
    assert hub.asked_for == []
    folder = find_or_fetch(NAME)
    hub.asked_for.clear()
    monkeypatch.setenv("SLT_OFFLINE", "1")
    assert find_bundle("hf:me/signs").folder == fetch_hub_model(NAME) == folder
    assert hub.asked_for == []


def test_a_bundle_to_carry_to_another_machine(hub, signs, tmp_path, monkeypatch):
    there = tmp_path / "carried" / "signs"
    assert fetch_hub_model(NAME, to=there) == there
    assert list_bundles().keys() == set(SHIPPED)
    monkeypatch.setenv("SLT_OFFLINE", "1")
    find_bundle(there).verify()
    assert [path.name for path in there.parent.iterdir()] == ["signs"]
    monkeypatch.setenv("SLT_OFFLINE", "0")
    with pytest.raises(UserError, match="is there already"):
        fetch_hub_model(NAME, to=there)


def test_of_two_first_uses_at_once_one_waits(hub, signs):
    found: list[Path] = []
    both = [threading.Thread(target=lambda: found.append(find_or_fetch(NAME))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert len(found) == 2
    assert sum(name == "encoder.safetensors" for name, _ in hub.seen) == 2  # once asked about, once brought


def test_private_models_need_a_token(hub, signs, monkeypatch):
    signs.private = True
    with pytest.raises(UserError, match="has no model me/signs, or it is private") as caught:
        find_or_fetch(NAME)
    assert "HF_TOKEN" in caught.value.fix
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    find_or_fetch(NAME)
    assert f"Bearer {TOKEN}" in hub.tokens


def test_terms_must_be_accepted(hub, signs):
    signs.gated = True
    with pytest.raises(UserError, match="only to who accepts its terms"):
        find_or_fetch(NAME)


def test_tokens_are_neither_told_nor_kept(hub, signs, logged_in, capsys, monkeypatch, caplog):
    said = {"X-Error-Message": f"the token {TOKEN} is too weak", "Content-Type": "text/plain"}
    place = "/api/models/me/signs/revision/main"
    other = "hf_" + "x" * 30
    hub.replies[place] = [
        (403, said, TOKEN.encode()),
        (418, said, f"Bearer {other}".encode()),
        (200, {}, json.dumps({"id": "me/signs", "sha": TOKEN}).encode()),
    ]
    told = ""
    for _ in range(3):
        with pytest.raises(SltError) as caught:
            find_or_fetch(NAME)
        told += "".join(traceback.format_exception(caught.value)) + str(caught.value.fix)
    find_or_fetch(NAME)
    output = capsys.readouterr()
    told += output.out + output.err + caplog.text
    assert "***" in told
    assert TOKEN not in told
    assert other not in told
    assert f"Bearer {TOKEN}" in hub.tokens
    for path in slt_home().rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_token_is_not_sent_unencrypted(hub, signs, logged_in, capsys, monkeypatch):
    monkeypatch.setattr("slt.assets.hub_client._is_this_machine", lambda url: False)
    find_or_fetch(NAME)
    assert set(hub.tokens) == {None}
    assert "is not encrypted: your token is not sent there" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["huggingface.co", "ftp://hub", "https://me:secret@hub", "http://"])
def test_addresses_of_no_hub_are_refused(hub, monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UserError, match="HF_ENDPOINT is no address") as caught:
        find_or_fetch(NAME)
    assert "secret" not in caught.value.message


def test_another_server_than_a_hub_is_told(hub, signs):
    hub.replies["/api/models/me/signs/revision/main"] = [(200, {}, b"<html>log in</html>")] * 9
    with pytest.raises(SltError, match=r"makes no sense|no whole answer"):
        find_or_fetch(NAME)


HOSTILE = {
    "a path out of the folder": ({"encoder__weights": "../../x.safetensors"}, "no path inside the bundle"),
    "an absolute path": ({"encoder__weights": "/etc/x.safetensors"}, "no path inside the bundle"),
    "a hidden file": ({"encoder__weights": ".git/x.safetensors"}, "cannot be the name"),
    "strange characters": ({"encoder__weights": "a\x1b[2J.safetensors"}, "cannot be the name"),
    "a pickle": ({"encoder__weights": "pytorch_model.bin"}, "never fetched"),
    "a program": ({"decoder__tokenizer": "code.py"}, "never fetched"),
    "weights for a tokenizer": ({"decoder__tokenizer": "encoder.safetensors"}, "never fetched"),
    "the card for a tokenizer": ({"decoder__tokenizer": "card.json"}, "cannot be the name"),
    "what is not there": ({"encoder__weights": "missing.safetensors"}, "is not there"),
    "a card of another kind": ({"encoder__kind": "os.system"}, "unknown kind"),
}


@pytest.mark.parametrize(("changed", "match"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_cards_are_refused_before_anything_is_fetched(hub, signs, files, changed, match):
    signs.commit(with_card({**signs.files}, **changed))
    with pytest.raises(UserError, match=match) as caught:
        find_or_fetch(NAME)
    assert "hf:me/signs is refused" in caught.value.message
    assert caught.value.message.isprintable()
    assert {name for name, _ in hub.seen} == {"card.json"}
    assert find_hub_folder(NAME) is None


def test_a_pickle_under_an_honest_name_is_refused(hub, files):
    harm = pickle.dumps(shutil.rmtree)
    hub.repo("me/signs", with_card({**files, "encoder.safetensors": harm}))
    with pytest.raises(SltError, match=r"encoder\.safetensors of hf:me/signs is no safetensors file: refused"):
        find_or_fetch(NAME)
    assert find_hub_folder(NAME) is None


def test_a_link_is_the_text_that_git_keeps_of_it(hub, files):
    hub.repo("me/signs", with_card({**files, "encoder.safetensors": b"../../../../etc/passwd"}))
    with pytest.raises(SltError, match="is no safetensors file: refused"):
        find_or_fetch(NAME)
    assert not [path for path in slt_home().rglob("*") if path.is_symlink()]


def test_a_file_that_is_not_the_cards_is_refused(hub, signs, files):
    other = bytes(len(files["tokenizer.model"]))
    signs.commit({**files, "tokenizer.model": other})
    with pytest.raises(UserError, match=r"tokenizer\.model is not the file whose sha256 its card has"):
        find_or_fetch(NAME)
    signs.listed["tokenizer.model"] = {"lfs": None}
    with pytest.raises(SltError, match=r"tokenizer\.model of hf:me/signs has the sha256 .*: refused"):
        find_or_fetch(NAME)
    assert find_hub_folder(NAME) is None


@pytest.mark.parametrize(
    ("file", "listed", "match"),
    [
        ("encoder.safetensors", {"size": 10**16}, "are to come"),
        ("card.json", {"size": 10**9}, "card.json of 1000000000 bytes"),
        ("card.json", {"size": 0}, "card.json of 0 bytes"),
        ("encoder.safetensors", {"size": -5}, "is not there"),
        ("encoder.safetensors", {"size": 7}, "hub lists 7"),
        ("card.json", None, "no bundle of slt: it has no card.json"),
    ],
)
def test_sizes_that_cannot_be_are_refused(hub, signs, file, listed, match):
    signs.listed[file] = listed
    with pytest.raises(SltError, match=match):
        find_or_fetch(NAME)
    assert find_hub_folder(NAME) is None


def test_a_commit_that_is_none_is_refused(hub, signs):
    answer = {"id": "me/signs", "sha": "../../../x", "siblings": []}
    hub.replies["/api/models/me/signs/revision/main"] = [(200, {}, json.dumps(answer).encode())]
    with pytest.raises(SltError, match="a commit that is none"):
        find_or_fetch(NAME)


def test_what_a_stranger_writes_moves_no_terminal(hub, files, capsys):
    hub.repo("me/signs", with_card(files, summary="\x1b]0;owned\x07signs", licence="MIT\x1b[8m"))
    hub.repos["me/signs"].page = {"license": "cc-by-nc-4.0"}
    find_or_fetch(NAME)
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "its page says cc-by-nc-4.0" in told


def test_a_hub_that_is_not_there_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SltError, match=r"no connection to 127\.0\.0\.1:9 \(5 times in a row\)"):
        find_or_fetch(NAME)


def test_a_proxy_that_refuses_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, hub.url)
    with pytest.raises(UserError, match=r"the proxy lets nothing through to hub\.example"):
        find_or_fetch(NAME)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (requests.exceptions.SSLError, r"certificate of .* cannot be trusted"),
        (requests.exceptions.ReadTimeout, "in time"),
        (requests.exceptions.ContentDecodingError, "no whole answer"),
        (errors.LocalTokenNotFoundError, "wants to know who you are"),
    ],
)
def test_failures_of_the_library_are_explained(hub, kind, match):
    def fail() -> None:
        raise kind("what happened")

    with pytest.raises((UserError, TryAgainError), match=match):
        ask_hub(NAME, fail)


def test_a_full_disk_is_told(hub, tmp_path):
    def fail() -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    with pytest.raises(SltError, match="No space left") as caught:
        ask_hub(NAME, fail)
    assert "free some space" in caught.value.fix


def test_a_file_the_hub_lists_and_lacks_is_told(hub, signs):
    signs.listed["encoder.safetensors"] = {}
    hub.replies[f"/me/signs/resolve/{signs.refs['main']}/encoder.safetensors"] = [
        (404, {"X-Error-Code": "EntryNotFound"}, b"")
    ]
    with pytest.raises(SltError, match="lists a file of hf:me/signs that it does not have"):
        find_or_fetch(NAME)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ({"license": "apache-2.0"}, "Apache-2.0"),
        ({"license": "other", "license_name": "apache-2.0"}, "Apache-2.0"),
        ({"license": "other"}, "Apache-2.0"),
        ({}, "Apache-2.0"),
        ({"license": "other", "license_name": "our-own"}, "Apache-2.0; its page says our-own"),
        ({"license": "cc-by-nc-4.0"}, "Apache-2.0; its page says cc-by-nc-4.0"),
    ],
)
def test_what_the_page_says_of_the_licence_is_recorded_where_it_differs(hub, signs, page, told):
    signs.page = page
    assert read_records(find_or_fetch(NAME))["encoder.safetensors"].licence == told
