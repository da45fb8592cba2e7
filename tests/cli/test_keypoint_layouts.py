"""Keypoints as people have them: from files of every layout to a checked manifest, a store, a training and scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slt.data.features.store import FeatureStore
from slt.data.manifest import Clip, write_manifest
from slt.video.keypoint_files import LAYOUTS
from tests.keypoint_layouts import DETECTED, HEIGHT, WIDTH, WRITERS, expected, figure

TEXTS = ("we go hiking today", "the weather is nice", "is the weather nice today")
N_FRAMES = 30


@pytest.fixture(scope="module", params=LAYOUTS)
def corpus(request, tmp_path_factory):
    """Three clips of one layout, and a manifest whose column pose names them."""
    layout = request.param
    folder = tmp_path_factory.mktemp(layout)
    clips = []
    for number, text in enumerate(TEXTS):
        path = WRITERS[layout](folder / "keypoints", f"-clip_{number}-rgb_front", figure(N_FRAMES + number, number))
        extra = {"pose": str(path.relative_to(folder))}
        clips.append(Clip(id=f"-clip_{number}-rgb_front", video=None, text=text, lang="eng_Latn", extra=extra))
    write_manifest(folder / "train.tsv", clips)
    return layout, folder


def test_its_hours_are_known(slt, corpus):
    layout, folder = corpus
    in_another_order = layout == "mediapipe-543-kaggle"  # which a manifest cannot say, and reading notices
    outcome = slt("check-manifest", folder / "train.tsv", "--decode", "--json")
    assert outcome.code == (3 if in_another_order else 0), outcome.out
    coverage = json.loads(outcome.out)["coverage"]["train"]
    seconds = (3 * N_FRAMES + 3) / 25
    assert coverage == {
        "clips": 3,
        "with_video": 0,
        "with_keypoints": 3,
        "with_features": 0,
        "with_text": 3,
        "hours": round(seconds / 3600, 4),
    }


def test_a_store_says_whose_joints_it_holds_and_in_which_unit(slt, corpus, tmp_path):
    layout, folder = corpus
    outcome = slt("features", "import", folder / "keypoints", "--layout", layout, "--out", tmp_path / "own")
    assert outcome.code == 0, outcome.err
    header = json.loads(slt("features", "info", tmp_path / "own", "--json", "--verify").out)
    skeleton = {"openpose": "openpose-137", "uni-sign": "coco-wholebody-133", "pose": "mediapipe-75"}.get(layout)
    skeleton = skeleton or layout.removesuffix("-kaggle")
    assert (header["geometry"]["skeleton"], header["clips"]) == (skeleton, 3)
    assert header["geometry"]["unit"] == ("pixels" if layout == "openpose" else "normalised")
    assert header["feature_dim"] == 3 * int(skeleton.rpartition("-")[2])


@pytest.mark.slow
def test_from_keypoints_to_training_and_scores(slt, corpus, bundle, tmp_path):
    layout, folder = corpus
    manifest, store, run = folder / "train.tsv", tmp_path / "store", tmp_path / "run"
    words = ["--layout", layout, "--to", "mediapipe-75", "--size", f"{WIDTH}x{HEIGHT}", "--fps", "25", "--out", store]
    outcome = slt("features", "import", folder / "keypoints", *words)
    assert outcome.code == 0, outcome.err
    rows = FeatureStore.open(store)
    for number in range(3):
        wanted = expected(layout, figure(N_FRAMES + number, number)).reshape(-1, 225)
        np.testing.assert_allclose(rows[f"-clip_{number}-rgb_front"], wanted, atol=1e-5)
    recipe = tmp_path / "recipe.yaml"
    split = {"manifest": str(manifest), "features": str(store)}
    recipe.write_text(
        f"""
        name: one-step
        extractor: {{ kind: keypoints }}
        encoder: {{ kind: transformer, shape: {{ d_model: 16, num_heads: 2, d_ff: 32, num_layers: 1 }} }}
        decoder: {{ kind: sonar, bundle: {bundle} }}
        objective: {{ kind: sonar-space, mse: 1.0 }}
        data: {{ train: {split}, val: {split}, langs: [eng_Latn], workers: 0 }}
        trainer: {{ epochs: 1, device: cpu, text_every: 0 }}
        """
    )
    asked = []
    if layout in DETECTED:
        name = DETECTED[layout].name
        refused = slt("train-encoder", recipe, "--out", run)
        assert refused.code == 2
        assert f"do not match: detector {DETECTED[layout].detector}, wanted mediapipe" in refused.err
        asked = ["--set", f"extractor.skeleton={name}"]
    outcome = slt("train-encoder", recipe, "--out", run, *asked)
    assert outcome.code == 0, outcome.err
    words = ["--model", run, "--manifest", manifest, "--metrics", "bleu4", "--resamples", 100]
    outcome = slt("evaluate", *words, "--features", store, "--out", tmp_path / "scores")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "scores" / "results.json").read_text("utf-8"))["clips"]["n"] == 3
    if layout in ("uni-sign", "mediapipe-543"):  # files that are read as they are named, by a model that asks for them
        outcome = slt("evaluate", *words, "--out", tmp_path / "read")
        assert outcome.code == 0, outcome.err
        stored, read = ((tmp_path / name / "translations.tsv").read_text("utf-8") for name in ("scores", "read"))
        assert [row.split("\t")[:3] for row in stored.split("\n")] == [row.split("\t")[:3] for row in read.split("\n")]


def test_the_column_pose_gives_the_same_features(slt, corpus, tmp_path):
    layout, folder = corpus
    words = ("extract-features", folder / "train.tsv", "--extractor", "keypoints", "--out", tmp_path / "s")
    outcome = slt(*words)
    if layout in DETECTED:
        name = DETECTED[layout].name
        assert outcome.code == 2
        assert f"holds joints of {name}, expected those of mediapipe-75: skeletons are not mixed unasked" in outcome.err
        outcome = slt(*words[:-1], tmp_path / "asked", "--skeleton", name)
        if layout == "openpose":  # nobody says how large the pictures are
            assert outcome.code == 2
            assert "holds pixels, and does not say how large the picture is" in outcome.err
            return
        store = FeatureStore.open(tmp_path / "asked")
        assert store.header.geometry["detector"] == DETECTED[layout].detector
    elif layout == "mediapipe-543-kaggle":
        assert outcome.code == 2
        assert "--layout mediapipe-543-kaggle, if that is its order" in outcome.err
        return
    else:
        store = FeatureStore.open(tmp_path / "s")
    assert outcome.code == 0, outcome.err
    wanted = expected(layout, figure(N_FRAMES)).reshape(-1, 225)
    np.testing.assert_allclose(store["-clip_0-rgb_front"], wanted, atol=1e-5)
    if layout != "pose":
        assert "keypoints without a frame rate were taken for 25 frames per second" in outcome.err


@pytest.mark.slow
def test_uni_sign_reads_the_pickles_of_its_authors_from_a_store(slt, tmp_path):
    from slt.bundle.unisign import import_unisign
    from tests.unisign_bundle import write_checkpoint, write_mt5

    import_unisign("tiny-uni-sign", write_checkpoint(tmp_path / "pose.pth"), write_mt5(tmp_path / "mt5"))
    clips = []
    for number, text in enumerate(TEXTS):
        WRITERS["uni-sign"](tmp_path / "poses", f"clip_{number}", figure(N_FRAMES, number))
        clips.append(Clip(id=f"clip_{number}", video=None, text=text, lang="eng_Latn"))
    write_manifest(tmp_path / "test.tsv", clips)
    outcome = slt("features", "import", tmp_path / "poses", "--layout", "uni-sign", "--out", tmp_path / "store")
    assert outcome.code == 0, outcome.err
    assert slt("check-manifest", tmp_path / "test.tsv", "--features", tmp_path / "store").code == 0
    words = [
        "--manifest",
        tmp_path / "test.tsv",
        "--metrics",
        "bleu4",
        "--resamples",
        100,
        "--out",
        tmp_path / "scores",
    ]
    outcome = slt("evaluate", "--model", "tiny-uni-sign", "--features", tmp_path / "store", *words)
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "scores" / "results.json").read_text("utf-8"))["clips"]["n"] == 3
