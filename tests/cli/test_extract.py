from __future__ import annotations

import json
import os
import signal
import threading

import numpy as np
import pytest

from slt.data.embeddings import EmbeddingCache
from slt.data.features.records import DATA
from slt.data.features.store import FeatureStore
from slt.data.manifest import Clip, write_manifest
from tests.bundles import write_clip


@pytest.fixture
def manifest(tmp_path):
    """Three clips, one of a video that is not there; English, and German for two of them."""
    texts = [("We go hiking.", "Wir wandern."), ("Is it nice?", ""), ("We go hiking.", "Wir gehen wandern.")]
    clips = []
    for i, (english, german) in enumerate(texts):
        extra = {"text_deu_Latn": german} if german else {}
        clips.append(Clip(id=f"c{i}", video=f"c{i}.mp4", text=english, lang="eng_Latn", extra=extra))
    for i in (0, 2):
        write_clip(tmp_path / f"c{i}.mp4", 40, seed=i)
    write_manifest(tmp_path / "train.tsv", clips)
    return tmp_path / "train.tsv"


def test_a_manifest_is_extracted_and_what_failed_is_listed(slt, bundle, manifest, tmp_path):
    outcome = slt("extract-features", manifest, "--out", tmp_path / "f", "--model", bundle, "--device", "cpu")
    assert outcome.code == 3
    assert "2 of 3 clips (0.00 h, 80 frames, " in outcome.err
    assert "1 of 3 clips failed:\n  " in outcome.err
    assert "c1.mp4 does not exist" in outcome.err
    assert set(FeatureStore.open(tmp_path / "f").ids) == {"c0", "c2"}
    write_clip(tmp_path / "c1.mp4", 40)
    again = slt("extract-features", manifest, "--out", tmp_path / "f", "--model", bundle, "--device", "cpu")
    assert again.code == 0
    assert "1 of 3 clips" in again.err
    assert "2 were there" in again.err


def test_a_dry_run_writes_nothing(slt, bundle, manifest, tmp_path):
    outcome = slt("extract-features", manifest, "--out", tmp_path / "f", "--model", bundle, "--dry-run")
    assert outcome.code == 0
    assert outcome.out.startswith("3 clips to extract, 0 there: about ")
    assert "1 of those failed" in outcome.out
    assert not (tmp_path / "f").exists()
    video = tmp_path / "c0.mp4"
    slt("extract-features", video, "--out", tmp_path / "f", "--model", bundle)
    there = slt("extract-features", video, "--out", tmp_path / "f", "--model", bundle, "--dry-run")
    assert there.out == f"nothing to do: all 1 clips are in {tmp_path / 'f'}\n"


def test_asked_to_stop_it_leaves_with_75_and_goes_on_later(slt, bundle, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("SLT_STOP_FILE", str(manifest))
    words = ["extract-features", tmp_path / "c0.mp4", "--out", tmp_path / "f", "--model", bundle]
    stopped = slt(*words)
    assert stopped.code == 75
    assert "stopped as asked" in stopped.err
    assert len(FeatureStore.open(tmp_path / "f")) == 0
    monkeypatch.delenv("SLT_STOP_FILE")
    assert slt(*words).code == 0
    assert "c0" in FeatureStore.open(tmp_path / "f")


def test_sigterm_is_a_request(slt, bundle, tmp_path):
    for i in range(40):
        write_clip(tmp_path / f"v{i}.mp4", 60, seed=i)
    (tmp_path / "f").mkdir()

    def ask():
        while not list((tmp_path / "f").glob(f"*{DATA}")):
            if done.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    done = threading.Event()
    asking = threading.Thread(target=ask)
    asking.start()
    outcome = slt("extract-features", *tmp_path.glob("v*.mp4"), "--out", tmp_path / "f", "--model", bundle)
    done.set()
    asking.join()
    assert outcome.code == 75
    assert 0 < len(FeatureStore.open(tmp_path / "f")) < 40


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "a/b", "0/0"])
def test_a_shard_that_is_none_is_refused(slt, tmp_path, shard):
    outcome = slt("extract-features", "x.mp4", "--out", tmp_path, f"--shard={shard}")
    assert outcome.code == 2
    assert f"--shard {shard} is no part of the work" in outcome.err


def test_features_go_to_files_and_back(slt, bundle, manifest, tmp_path):
    store = tmp_path / "f"
    slt("extract-features", tmp_path / "c0.mp4", tmp_path / "c2.mp4", "--out", store, "--model", bundle)
    for format in ("npy", "pt"):
        assert slt("features", "export", store, "--out", tmp_path / format, "--format", format).code == 0
        assert {path.name for path in (tmp_path / format).iterdir()} == {f"c0.{format}", f"c2.{format}"}
        assert slt("features", "import", tmp_path / format, "--out", tmp_path / f"{format}2").code == 0
        for id in ("c0", "c2"):
            expected = FeatureStore.open(store)[id]
            np.testing.assert_array_equal(FeatureStore.open(tmp_path / f"{format}2")[id], expected)
    np.save(tmp_path / "npy" / "wide.npy", np.zeros((2, 3), np.float32))
    (tmp_path / "npy" / "zz.npy").write_bytes(b"")
    outcome = slt("features", "import", tmp_path / "npy", "--out", tmp_path / "npy2")
    assert outcome.code == 3
    assert "wide.npy holds features 3 wide, others 32" in outcome.err
    assert "zz.npy is not a whole .npy file" in outcome.err


def test_a_store_is_described_and_verified(slt, bundle, manifest, tmp_path):
    store = tmp_path / "f"
    slt("extract-features", tmp_path / "c0.mp4", tmp_path / "c2.mp4", "--out", store, "--model", bundle)
    told = json.loads(slt("features", "info", store, "--json", "--verify").out)
    assert (told["clips"], told["feature_dim"], told["extractor"]) == (2, 32, "signhiera")
    assert "clips\t2\n" in slt("features", "info", store).out
    (shard,) = store.glob(f"*{DATA}")
    content = bytearray(shard.read_bytes())
    content[80] ^= 1
    shard.write_bytes(content)
    damaged = slt("features", "info", store, "--verify")
    assert damaged.code == 3
    assert f"in {shard} are damaged" in damaged.err


def test_texts_are_embedded_once_in_every_language(slt, bundle, manifest, tmp_path):
    words = ["embed-text", manifest, "--out", tmp_path / "e", "--model", bundle]
    german = slt(*words, "--lang", "deu_Latn")
    assert german.code == 0
    assert "2 of 2 texts embedded, 0 were there: deu_Latn" in german.err
    assert "2 of 4 texts embedded, 2 were there: eng_Latn, deu_Latn" in slt(*words).err
    assert "0 of 4 texts embedded" in slt(*words).err
    from slt.bundle.load import load_text

    _, model = load_text(bundle, device="cpu")
    found = EmbeddingCache.open(tmp_path / "e").get(["We go hiking.", "Wir wandern."], ["eng_Latn", "deu_Latn"])
    expected = [model.embed(["We go hiking."], "eng_Latn")[0], model.embed(["Wir wandern."], "deu_Latn")[0]]
    np.testing.assert_allclose(found, [row.numpy() for row in expected], atol=1e-5)
    words[3] = tmp_path / "other"
    assert slt(*words, "--text-engine", "transformers").code == 0
    other = EmbeddingCache.open(tmp_path / "other").get(["We go hiking.", "Wir wandern."], ["eng_Latn", "deu_Latn"])
    np.testing.assert_allclose(other, found, atol=1e-5)


def test_texts_that_cannot_be_embedded_are_refused(slt, own_bundle, manifest, tmp_path):
    missing = slt("embed-text", manifest, "--out", tmp_path / "e", "--lang", "fra_Latn")
    assert missing.code == 2
    assert "no manifest has sentences in fra_Latn; there are: deu_Latn, eng_Latn" in missing.err
    write_manifest(tmp_path / "mute.tsv", [Clip(id="a", video="a.mp4")])
    assert "has no sentence whose language is known" in slt("embed-text", tmp_path / "mute.tsv", "--out", "e").err
    card = json.loads((own_bundle / "card.json").read_text())
    card["decoder"]["text_encoder"] = None
    (own_bundle / "card.json").write_text(json.dumps(card))
    mute = slt("embed-text", manifest, "--out", tmp_path / "e", "--model", own_bundle)
    assert mute.code == 2
    assert "has no text encoder" in mute.err
