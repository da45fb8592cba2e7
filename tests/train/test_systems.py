"""The systems on keypoints, each whole: they learn by heart, they learn to translate, and not without the signing."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from slt.core.config import parse
from slt.core.runs import open_run
from slt.data.features.header import StoreHeader
from slt.data.features.open import open_features
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.models.config import KEYPOINTS_DIM, WHOLEBODY_DIM
from slt.recipe.load import check_verb, to_yaml
from slt.recipe.parts import ON_KEYPOINTS
from slt.recipe.schema import Recipe
from slt.train.loggers import read_figures
from slt.train.run import train
from slt_cli.main import main
from tests.bundles import FEATURE_DIM
from tests.frame_bundles import write_siglip
from tests.train.conftest import VISUAL_DIM, only_keypoints, write_streams

WORDS = (
    ("we", "they", "you"),
    ("climb", "see", "draw", "like"),
    ("the", "no", "every", "this"),
    ("hill", "boat", "bird"),
)
WIDTH, HELD_OUT = 64, 24
ENCODERS = {
    "fusion": {"d_model": WIDTH, "num_heads": 4, "d_ff": 128, "num_visual_layers": 1, "num_blocks": 1},
    "transformer": {"d_model": WIDTH, "num_heads": 4, "d_ff": 128, "num_layers": 2},
    "stgcn": {"width": 16},
}
MT5 = {
    "kind": "mt5",
    "shape": {"d_model": WIDTH, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 1, "num_decoder_layers": 1},
    "vocab_size": 120,
    "dropout": 0.0,
    "bridge": "linear",
    "prefix": "Translate sign language video to English: ",
}
MBART = {
    "kind": "mbart",
    "shape": {
        "d_model": WIDTH,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128,
        "max_position_embeddings": 64,
    },
    "vocab_size": 120,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawn clips, by the commands a user has: their joints, and their pictures by a tiny SigLIP."""
    folder = tmp_path_factory.mktemp("drawn")
    siglip = write_siglip(folder / "siglip")
    corpus = folder / "corpus"
    words = ["prepare", "synthetic", "--out", corpus, "--clips", 16, "--split", "train", "--joints", "--seed", 3]
    assert main(list(map(str, words))) == 0
    manifest, features = corpus / "train.tsv", {}
    for kind, model in (("keypoints", []), ("siglip", ["--model", siglip])):
        features[kind] = str(folder / f"{kind}-features")
        words = ["extract-features", manifest, "--extractor", kind, *model, "--out", features[kind]]
        assert main(list(map(str, words))) == 0
    split = {"manifest": str(manifest), "features": features}
    return {"train": split, "val": split}


def write_split(folder, split, sentences):
    """Write clips of sentences: a interval of a vector per word and frame, seen as keypoints and as pictures."""
    rng = np.random.default_rng(0)
    vectors = {word: rng.standard_normal(FEATURE_DIM) for words in WORDS for word in words}
    rng = np.random.default_rng(len(sentences))
    clips = []
    with FeatureWriter(folder / split, StoreHeader(feature_dim=FEATURE_DIM, dtype="float32")) as store:
        for number, words in enumerate(sentences):
            rows = np.concatenate([np.tile(vectors[word], (int(rng.integers(3, 7)), 1)) for word in words])
            store.add(f"{split}-{number:03d}", (rows + 0.1 * rng.standard_normal(rows.shape)).astype(np.float32))
            clips.append(Clip(id=f"{split}-{number:03d}", video=None, text=" ".join(words), lang="eng_Latn"))
    write_manifest(folder / f"{split}.tsv", clips)
    return write_streams(folder, split, str(folder / f"{split}.tsv"))


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """All sentences of a small language, but for some that are in no training clip."""
    folder = tmp_path_factory.mktemp("held-out")
    sentences = list(product(*WORDS))
    np.random.default_rng(1).shuffle(sentences)
    parts = {"train": sentences[HELD_OUT:], "val": sentences[:HELD_OUT]}
    return {split: write_split(folder, split, part) for split, part in parts.items()}


@pytest.fixture(scope="module")
def blind(held_out, tmp_path_factory):
    """The same clips without what was signed: nobody is seen, and every picture is black."""
    folder = tmp_path_factory.mktemp("blind")
    empty = {
        "keypoints": (KEYPOINTS_DIM, math.nan),
        "siglip": (VISUAL_DIM, 0.0),
        "wholebody": (WHOLEBODY_DIM, math.nan),
    }
    splits = {}
    for split, found in held_out.items():
        features = {}
        for kind, (width, value) in empty.items():
            stored = open_features(Path(found["features"]["keypoints"]).with_name(f"{split}-{kind}"))
            features[kind] = str(folder / f"{split}-{kind}")
            header = StoreHeader(feature_dim=width, dtype="float32", extractor=kind)
            with FeatureWriter(folder / f"{split}-{kind}", header) as store:
                for id in stored.ids:
                    store.add(id, np.full((stored.length(id), width), value, np.float32))
        splits[split] = {**found, "features": {kind: features[kind] for kind in found["features"]}}
    return splits


def run_of(folder, verb, splits, encoder, *, epochs, validate_every, optim=None, **groups):
    """Train by a recipe for one of the systems; return the run."""
    settings = {"epochs": epochs, "validate_every": validate_every, "device": "cpu", "text_clips": HELD_OUT}
    through = {"text_every": 1, "monitor": "bleu"} if verb == "train-translator" else {"monitor": "recall@1"}
    if encoder["kind"] != "fusion":
        splits = {name: only_keypoints(split, ON_KEYPOINTS[encoder["kind"]]) for name, split in splits.items()}
    values = {
        "name": folder.name,
        "encoder": encoder,
        "decoder": MT5 if encoder["kind"] == "stgcn" else MBART,
        "objective": {"kind": "cross-entropy", "label_smoothing": 0.1},
        "data": {**splits, "batch_rows": 2048, "batch_clips": 16, "workers": 0},
        "optim": {"lr": 2e-3, "warmup_steps": 10, **(optim or {})},
        "trainer": {**settings, **through},
        **groups,
    }
    recipe = parse(Recipe, values, where="the test's recipe")
    check_verb(recipe, verb)
    run = open_run(folder, to_yaml(recipe))
    train(recipe, run)
    return run


def at_random(kind):
    without = {} if kind == "stgcn" else {"dropout_rate": 0.0}
    return {"kind": kind, "shape": {**ENCODERS[kind], **without}}


def align(folder, splits, *, epochs):
    """Phase 1; return what phase 2 begins with, and the run."""
    run = run_of(
        folder,
        "train-vlp",
        splits,
        at_random("fusion"),
        epochs=epochs,
        validate_every=epochs,
        decoder={**MBART, "train": "frozen"},
        objective={"kind": "contrastive", "label_smoothing": 0.1},
    )
    return {"kind": "fusion", "weights": str(run.folder)}, run


@pytest.fixture(scope="module")
def aligned(held_out, tmp_path_factory):
    return align(tmp_path_factory.mktemp("aligned") / "run", held_out, epochs=8)


def of(run, figure):
    return [float(row["value"]) for row in read_figures(run.metrics) if row["figure"] == figure]


@pytest.mark.slow
def test_the_baseline_learns_drawn_clips_by_heart_and_translates_them(drawn, tmp_path, capsys):
    looks = {"extractor": {"kind": "keypoints"}}
    run = run_of(tmp_path, "train-translator", drawn, at_random("transformer"), epochs=100, validate_every=100, **looks)
    assert of(run, "val/bleu")[-1] >= 95
    manifest = read_manifest(Path(drawn["train"]["manifest"]))
    capsys.readouterr()
    assert (
        main(["translate", *(str(manifest.pose_path(clip)) for clip in manifest.clips), "--model", str(tmp_path)]) == 0
    )
    said = capsys.readouterr().out
    assert sum(clip.text in said for clip in manifest.clips) >= 14  # of 16


@pytest.mark.slow
def test_two_phases_learn_drawn_clips_by_heart_at_learning_rates_of_their_own(drawn, tmp_path):
    encoder, _ = align(tmp_path / "aligned", drawn, epochs=10)
    run = run_of(
        tmp_path / "translator",
        "train-translator",
        drawn,
        encoder,
        epochs=100,
        validate_every=100,
        optim={"lr_factors": {"encoder": 0.5}},
        stages=[{"from_epoch": 0, "train": ["decoder.*"]}, {"from_epoch": 10, "train": ["*"]}],
    )
    assert of(run, "val/bleu")[-1] >= 95
    ours, its = (of(run, f"lr/{name}") for name in ("encoder/decay/stages-1", "decoder/decay"))
    begins = next(place for place, rate in enumerate(ours) if rate)
    assert begins == pytest.approx(len(ours) / 10, abs=1)
    assert ours[begins:] == pytest.approx([rate / 2 for rate in its[begins:]], rel=1e-4)


@pytest.mark.slow
def test_an_aligned_encoder_finds_sentences_it_never_saw(aligned):
    assert of(aligned[1], "val/recall@1")[-1] > 60  # of 24 sentences, so guessing finds 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fusion", "transformer"])
def test_it_translates_sentences_it_never_saw_and_not_without_the_signing(held_out, blind, aligned, tmp_path, kind):
    start = aligned[0] if kind == "fusion" else at_random(kind)
    seeing = run_of(tmp_path / "seeing", "train-translator", held_out, start, epochs=36, validate_every=36)
    guessing = run_of(tmp_path / "guessing", "train-translator", blind, at_random(kind), epochs=12, validate_every=12)
    best, baseline = (max(of(run, "val/bleu")) for run in (seeing, guessing))
    assert best > baseline + 30


@pytest.mark.slow
def test_a_small_uni_sign_translates_sentences_it_never_saw_and_not_without_the_signing(held_out, blind, tmp_path):
    best = {}
    for name, splits, epochs in (("seeing", held_out, 18), ("guessing", blind, 6)):
        run = run_of(
            tmp_path / name, "train-translator", splits, at_random("stgcn"), epochs=epochs, validate_every=epochs
        )
        best[name] = max(of(run, "val/bleu"))
    assert best["seeing"] > best["guessing"] + 50, best  # 100 and 5 with both hands normalised together
