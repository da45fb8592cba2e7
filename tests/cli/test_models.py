from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from slt.assets import published
from slt.assets.download import Patience
from slt.assets.published import PublishedFile, PublishedModel
from slt.core.home import slt_home
from tests.servers import FileServer, answers, drops, server  # noqa: F401 - a fixture

CONTENT = {"signs.pth": bytes(range(256)) * 400, "texts.pt": b"text" * 100}


@pytest.fixture
def home(bundle):
    """SLT_HOME with two models of one's own in it."""
    for name in ("mine", "yours"):
        shutil.copytree(bundle, slt_home() / "bundles" / name)
    return slt_home()


def test_models_are_listed_for_people_and_programs(slt, home):
    lines = [line.split("\t") for line in slt("models", "list").out.splitlines()]
    assert ["mine", "eng_Latn,deu_Latn", "Apache-2.0", "an untrained model", "ready"] in lines
    told = {model["name"]: model for model in map(json.loads, slt("models", "list", "--json").out.splitlines())}
    assert told["yours"]["folder"] == str(home / "bundles" / "yours")
    assert told["yours"]["languages"] == ["eng_Latn", "deu_Latn"]


def test_copies_in_half_precision_are_listed_and_go_with_their_model(slt, home):
    copies = home / "bundles" / "mine" / "copies"
    copies.mkdir()
    (copies / "encoder.bfloat16.safetensors").write_bytes(bytes(300_000))
    assert "\tready, copy in bfloat16 0.3 MB\n" in slt("models", "list").out
    told = {model["name"]: model for model in map(json.loads, slt("models", "list", "--json").out.splitlines())}
    assert (told["mine"]["copies"], told["yours"]["copies"]) == ({"bfloat16": 300_000}, {})
    assert slt("models", "rm", "mine").code == 0
    assert not copies.exists()


def test_no_models_is_told_to_people(slt, monkeypatch, tmp_path):
    monkeypatch.setattr("slt.assets.store.demo_folder", lambda: tmp_path)
    outcome = slt("models", "list")
    assert outcome.code == 0
    assert [line.split("\t")[0::4] for line in outcome.out.splitlines()] == [["sonar-asl", "not fetched"]]
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
def public(server: FileServer, monkeypatch):  # noqa: F811 - the fixture
    """Stand in for the published model, with a local server for a mirror; no attempt is waited for."""
    server.files = {f"/x/{name}": content for name, content in CONTENT.items()}
    signs, texts = (
        PublishedFile(name=n, url=f"https://files.example/x/{n}", about_bytes=len(c), summary=n, to_translate=c[0] == 0)
        for n, c in CONTENT.items()
    )
    model = PublishedModel(summary="signs", licence="CC-BY-NC-4.0", notice="no commerce", files=(signs, texts))
    known = {"sonar-asl": model}
    monkeypatch.setattr(published, "PUBLISHED", known)
    monkeypatch.setattr(published, "FETCHABLE", known)
    monkeypatch.setattr("slt.assets.store.PUBLISHED", known)
    monkeypatch.setattr("slt.assets.store.FETCHABLE", known)
    monkeypatch.setattr("slt.assets.fetch.Patience", lambda: Patience(sleep=lambda _: None))
    monkeypatch.setenv("SLT_OFFLINE", "0")
    monkeypatch.setenv("SLT_MIRROR", server.url)
    return server


def test_fetching_tells_what_how_big_and_under_which_licence(slt, public):
    outcome = slt("models", "fetch", "sonar-asl")
    folder = slt_home() / "files" / "sonar-asl"
    assert (outcome.code, outcome.out) == (0, f"sonar-asl\t{folder}\n")
    assert (folder / "signs.pth").read_bytes() == CONTENT["signs.pth"]
    assert not (folder / "texts.pt").exists()
    told = outcome.err
    assert f"from {public.url.removeprefix('http://')} to {folder}" in told
    assert "this mirror is not encrypted" in told
    assert told.index("about   0.1 MB  signs.pth") < told.index("licence: no commerce") < told.index("sha256")
    assert json.loads((folder / "fetched.json").read_text())["files"]["signs.pth"]["licence"] == "no commerce"
    assert slt("models", "path", "sonar-asl").out == f"{folder}\n"
    assert slt("models", "verify", "sonar-asl").out == "sonar-asl\tok\t1 files\n"
    assert "\tfetched\n" in slt("models", "list").out
    assert slt("models", "rm", "sonar-asl").out == f"sonar-asl\t{folder}\n"
    assert "\tnot fetched\n" in slt("models", "list").out
    assert slt("models", "path", "sonar-asl").code == 2


def test_fetching_to_a_folder_and_from_a_mirror(slt, public, tmp_path, monkeypatch):
    monkeypatch.delenv("SLT_MIRROR")
    outcome = slt("models", "fetch", "--mirror", public.url, "--to", tmp_path / "stick", "--with-text-encoder")
    assert outcome.code == 0
    assert {name: (tmp_path / "stick" / name).read_bytes() for name in CONTENT} == CONTENT
    assert slt("models", "verify", tmp_path / "stick").out == f"{tmp_path / 'stick'}\tok\t2 files\n"


@pytest.mark.parametrize(
    ("faults", "code", "said"),
    [
        ([drops(1000)], 0, "trying again in"),
        ([answers(404)], 1, "answered 404 Not Found: there is no such file"),
        ([answers(500)] * 5, 1, "the server answered 500 Internal Server Error (5 times in a row)"),
        ([answers(407)], 2, "the proxy refuses"),
    ],
)
def test_faults_have_their_exit_codes_and_a_later_run_succeeds(slt, public, faults, code, said):
    public.faults["/x/signs.pth"] = [*faults]
    outcome = slt("models", "fetch")
    assert outcome.code == code
    assert said in outcome.err
    assert slt("models", "fetch").code == 0
    assert slt("models", "verify", "sonar-asl").code == 0


def test_offline_and_unknown_names_are_the_users_to_mend(slt, public, monkeypatch):
    monkeypatch.setenv("SLT_OFFLINE", "1")
    outcome = slt("models", "fetch")
    assert (outcome.code, public.seen) == (2, [])
    assert "lacks signs.pth" in outcome.err
    assert "sonar-asl" in slt("models", "fetch", "sonar-als").err
    assert slt("models", "rm", "demo").code == 2


def test_the_published_model_is_listed_for_programs(slt):
    (row,) = [
        row for row in map(json.loads, slt("models", "list", "--json").out.splitlines()) if row["name"] == "sonar-asl"
    ]
    assert (row["state"], row["licence"], len(row["languages"])) == ("not fetched", "CC-BY-NC-4.0", 202)
    assert row["folder"] == str(slt_home() / "files" / "sonar-asl")


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


def test_fetched_files_become_the_model_they_were_published_as(slt, bundle, clip, tmp_path, public):
    """The way of a new user: fetch, import, translate; on tiny checkpoints and a local server."""
    from slt.bundle.convert import FETCHED
    from tests.checkpoints import write_config, write_sources

    sources = write_sources(bundle, tmp_path / "published")
    contents = {FETCHED[part]: path.read_bytes() for part, path in sources.files.items() if part != "text_encoder"}
    public.files = {f"/x/{name}": content for name, content in contents.items()}
    files = tuple(
        PublishedFile(name=name, url=f"https://files.example/x/{name}", about_bytes=len(content), summary=name)
        for name, content in contents.items()
    )
    published.PUBLISHED["sonar-asl"] = dataclasses.replace(published.PUBLISHED["sonar-asl"], files=files)
    config = write_config(bundle, tmp_path / "import.json")
    assert slt("models", "fetch", "sonar-asl").code == 0
    assert slt("models", "import", "--name", "sonar-asl", "--config", config).code == 0
    assert slt("translate", clip, "--model", "sonar-asl").out == slt("translate", clip, "--model", bundle).out
    assert "sonar-asl" in slt("models", "verify").out
