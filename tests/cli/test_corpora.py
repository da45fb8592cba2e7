"""Corpora in the shape of the published ones go all the way: prepared, checked, extracted, embedded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slt.data.embeddings import EmbeddingCache
from slt.data.features.store import FeatureStore
from slt.data.manifest import read_manifest


def go_on(slt, bundle, manifests, out):
    """Extract and embed manifests; return what the extraction said, and its store."""
    extraction = slt("extract-features", *manifests, "--out", out / "features", "--model", bundle, "--device", "cpu")
    embedding = slt("embed-text", *manifests, "--out", out / "embeddings", "--model", bundle, "--device", "cpu")
    assert embedding.code == 0
    cache = EmbeddingCache.open(out / "embeddings")
    pairs = {
        (text, lang) for path in manifests for clip in read_manifest(path).clips for lang, text in clip.texts().items()
    }
    assert len(cache) == len(pairs)
    assert all(pair in cache for pair in pairs)
    return extraction, FeatureStore.open(out / "features")


def check(slt, manifests, features, n_clips, *, with_features):
    """Look at manifests, and at features where there are some: all but one clip has a video."""
    words = ["--features", features] if features.exists() else []
    coverage = json.loads(slt("check-manifest", *manifests, *words, "--json").out)["coverage"].values()
    names = ("clips", "with_video", "with_text", "with_features")
    totals = [sum(split[name] for split in coverage) for name in names]
    assert totals == [n_clips, n_clips - 1, n_clips, with_features]


@pytest.mark.slow
def test_how2sign_cut_and_not_cut(slt, bundle, how2sign, tmp_path):
    stores = []
    for extra in ([], ["--no-cut"]):
        out = tmp_path / ("spans" if extra else "cut")
        words = [word for path in how2sign.lists.values() for word in ("--csv", path)]
        prepared = slt("prepare", "how2sign", *words, "--videos", how2sign.videos, "--out", out, *extra)
        assert prepared.code == 3
        manifests = [out / f"{split}.tsv" for split in how2sign.lists]
        found = {
            split: [clip.id for clip in read_manifest(path).clips]
            for split, path in zip(how2sign.lists, manifests, strict=True)
        }
        assert found == how2sign.clips
        n_clips = sum(map(len, found.values()))
        check(slt, manifests, out / "nothing", n_clips, with_features=0)
        extraction, store = go_on(slt, bundle, manifests, out)
        assert extraction.code == 3
        assert f"{n_clips - 1} of {n_clips} clips" in extraction.err
        assert "lostvideo01_0-1-rgb_front" in extraction.err
        assert set(store.ids) == {id for ids in found.values() for id in ids} - {"lostvideo01_0-1-rgb_front"}
        again = slt("extract-features", *manifests, "--out", out / "features", "--model", bundle, "--device", "cpu")
        assert f"0 of {n_clips} clips" in again.err
        check(slt, manifests, out / "features", n_clips, with_features=n_clips - 1)
        stores.append(store)
    cut, spans = stores
    assert {id: cut.length(id) for id in cut.ids} == {id: spans.length(id) for id in cut.ids}


def test_phoenix(slt, bundle, phoenix, tmp_path):
    lists = [word for path in phoenix.lists.values() for word in ("--csv", path)]
    prepared = slt("prepare", "phoenix", *lists, "--videos", phoenix.videos, "--out", tmp_path)
    assert prepared.code in (0, 3), prepared.err
    manifests = [tmp_path / f"{split}.tsv" for split in phoenix.clips]
    ids = [id for ids in phoenix.clips.values() for id in ids]
    assert [clip.id for path in manifests for clip in read_manifest(path).clips] == ids
    check(slt, manifests, tmp_path / "nothing", len(ids), with_features=0)
    extraction, store = go_on(slt, bundle, manifests, tmp_path)
    check(slt, manifests, tmp_path / "features", len(ids), with_features=len(ids) - 1)
    assert extraction.code == 3
    assert f"{len(ids) - 1} of {len(ids)} clips (0.00 h, {30 * (len(ids) - 1)} frames" in extraction.err
    assert set(store.ids) == set(ids) - {"lost-1"}
    assert all(np.isfinite(store[id]).all() for id in store.ids)
