# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import json
import subprocess
import sys

import pytest

from slt.assets.store import find_bundle
from slt.core.home import slt_home
from tests.hub_server import TOKEN, HubServer, hub, logged_in


def test_the_whole_way(slt, hub, logged_in):
    pushed = slt("models", "push", "demo", "hf:me/signs", "--private")
    assert pushed.code == 0, pushed.err
    commit = hub.repos["me/signs"].refs["main"]
    assert pushed.out == f"hf:me/signs@{commit}\t{hub.url}/me/signs\n"
    assert "licence: Apache-2.0" in pushed.err
    assert "its model card has no scores" in pushed.err
    folder = slt_home() / "hub" / "me--signs" / commit
    fetched = slt("models", "fetch", "hf:me/signs", "hf:me/signs@main")
    assert (fetched.code, fetched.out) == (0, f"hf:me/signs\t{folder}\n" * 2)
    assert "translate with: slt translate VIDEO --model hf:me/signs" in fetched.err
    assert "\nhf:me/signs\teng_Latn,deu_Latn\tApache-2.0\t" in slt("models", "list").out
    assert slt("models", "path", "hf:me/signs").out == f"{folder}\n"
    assert slt("models", "verify", "hf:me/signs").out == "hf:me/signs\tok\t7 files\n"
    assert slt("models", "fetch", f"hf:me/signs@{commit}").code == 0
    assert slt("models", "rm", "hf:me/signs").out == ""
    assert slt("models", "rm", f"hf:me/signs@{commit}").out == f"hf:me/signs@{commit}\t{folder.parent}\n"
    assert TOKEN not in pushed.out + pushed.err + fetched.err


def test_a_model_card_is_shown_without_sending_it(slt, hub):
    outcome = slt("models", "push", "demo", "hf:me/signs", "--dry-run", "--licence", "mit")
    assert outcome.code == 0
    assert outcome.out.startswith("---\nlanguage:\n- en\n- de\n")
    assert "license: mit" in outcome.out
    assert hub.asked_for == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "demo", "me/signs"), "write hf:OWNER/NAME"),
        (("push", "no-such-run", "hf:me/signs"), "unknown model"),
        (("push", "demo", "hf:me/signs"), "wants to know who you are"),
        (("fetch", "hf:me/signs"), "has no model me/signs, or it is private"),
        (("fetch", "hf:me"), "names no model on the hub"),
        (("fetch", "hf:me/signs", "--mirror", "https://x"), "let HF_ENDPOINT name the mirror"),
        (("fetch", "hf:me/signs", "--with-text-encoder"), "--with-text-encoder is not for models on the hub"),
        (("path", "hf:me/signs"), "fetch it: slt models fetch hf:me/signs"),
        (("verify", "hf:me/signs"), "no model 'hf:me/signs' is here"),
    ],
)
def test_mistakes_are_the_users_to_mend(slt, hub, words, said):
    outcome = slt("models", *words)
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("translate", "x.mp4", "--model", "hf:me/signs", "--save-embeddings", "out"),
        ("translate", "x.mp4", "--model", "hf:me/signs"),
        ("evaluate", "--model", "hf:me/signs", "--manifest", "x.tsv", "--lang", "eng_Latn"),
        ("embed-text", "x.tsv", "--out", "out", "--model", "hf:me/signs"),
        ("extract-features", "x.mp4", "--out", "out", "--model", "hf:me/signs"),
        ("models", "push", "hf:me/signs", "hf:me/again"),
    ],
)
def test_wherever_a_model_is_named_it_may_be_one_on_the_hub(slt, hub, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("x.mp4", "x.tsv"):
        (tmp_path / name).write_text("id\tvideo\ttext_eng_Latn\nx\tx.mp4\tx\n")
    outcome = slt(*words)
    assert outcome.code == 2
    assert "has no model me/signs, or it is private" in outcome.err


def test_the_library_is_loaded_only_for_the_hub():
    code = "import slt_cli.main, slt.assets.store, sys; slt.assets.store.list_bundles(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"huggingface_hub", "requests", "torch"} & set(loaded)
