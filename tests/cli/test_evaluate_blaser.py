"""Published weights cannot be had in tests: those here are random, of the tiny model's width; all else is real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from slt.assets.cards import read_card, write_card
from slt.assets.fetch import fetch
from slt.assets.published import PUBLISHED_JUDGES, files_folder
from slt.core.errors import UserError
from slt.data.manifest import Clip, write_manifest
from slt.evaluate import blaser
from slt.evaluate.blaser import SHAPES, blaser_scores, split_metric_names
from slt.evaluate.results import read_results
from slt.models.blaser import Blaser
from tests.bundles import EMBEDDING_DIM, let_write, write_clip

FILES = PUBLISHED_JUDGES["blaser"].files
ROWS = np.random.default_rng(1).normal(size=(3, 4, EMBEDDING_DIM)).astype(np.float32)
FAILED = np.array([False, True, False, False])


@pytest.fixture
def narrow(monkeypatch):
    """BLASERs as wide as the tiny model's embeddings."""
    small = {"embedding_dim": EMBEDDING_DIM, "hidden_dims": (24, 12)}
    narrow = {name: replace(shape, **small) for name, shape in SHAPES.items()}
    monkeypatch.setattr(blaser, "SHAPES", narrow)
    return narrow


@pytest.fixture
def weights(narrow, monkeypatch):
    """Weights of such, where they are fetched to, and recorded."""
    folder = files_folder("blaser")
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    made = {name: Blaser(shape).eval() for name, shape in narrow.items()}
    small = [replace(file, about_bytes=1000) for file in FILES]
    for file, model in zip(small, made.values(), strict=True):
        torch.save({"model": model.state_dict()}, folder / file.name)
    fetch(small, folder, licence="CC")
    return made


@pytest.fixture
def manifest(tmp_path):
    write_clip(tmp_path / "a.mp4")
    texts = ("we go hiking", "is the weather nice")
    clips = [Clip(id=text[:2], video="a.mp4", text=text, lang="eng_Latn") for text in texts]
    write_manifest(tmp_path / "m.tsv", [*clips, Clip(id="gone", video="b.mp4", text="we", lang="eng_Latn")])
    return tmp_path / "m.tsv"


def words_for(bundle, manifest, *more):
    return ("evaluate", "--model", bundle, "--manifest", manifest, "--device", "cpu", "--resamples", 50, *more)


def test_each_clip_is_judged_by_the_weights_and_failed_ones_are_worst(weights):
    source, hypothesis, reference = map(torch.from_numpy, ROWS)
    with_reference, without = blaser_scores(list(SHAPES), *ROWS, failed=FAILED)
    with torch.no_grad():
        expected = weights["blaser_ref"](source, hypothesis, reference), weights["blaser_qe"](source, hypothesis)
    for found, values in zip((with_reference, without), expected, strict=True):
        assert found.values[1] == 1
        assert found.values[~FAILED] == pytest.approx(values.numpy()[~FAILED], abs=1e-6)
    assert with_reference.signature.startswith("weights:blaser-2.0-ref|sha256:")


def test_evaluate_prints_them_where_the_weights_are(slt, bundle, weights, manifest, tmp_path):
    outcome = slt(*words_for(bundle, manifest, "--out", tmp_path / "out"))
    assert outcome.code == 3  # one clip is broken
    assert "BLASER 2.0 QE" in outcome.out
    results = read_results(tmp_path / "out")
    score = results.score("blaser_ref")
    assert score.low <= score.value <= score.high
    assert "worst:1|failed:1 empty|bs:50" in score.signature

    slt(*words_for(bundle, manifest, "--out", tmp_path / "skipped", "--skip-missing"))
    two = read_results(tmp_path / "skipped").score("blaser_ref").value
    assert score.value == pytest.approx((2 * two + 1) / 3)

    slt(*words_for(bundle, manifest, "--out", tmp_path / "one", "--metrics", "blaser_qe"))
    kept = [one.name for one in read_results(tmp_path / "one").scores]
    assert "blaser_qe" in kept
    assert not {"bleu4", "blaser_ref"} & set(kept)


def test_they_are_left_out_where_nobody_asks(slt, bundle, manifest):
    outcome = slt(*words_for(bundle, manifest))
    assert "BLASER" not in outcome.out + outcome.err


def test_without_weights_a_name_says_how_to_get_them(slt, bundle, narrow, manifest):
    outcome = slt(*words_for(bundle, manifest, "--metrics", "bleu4,blaser_ref"))
    assert outcome.code == 2
    assert "the weights of blaser_ref are not installed" in outcome.err
    assert "slt models fetch blaser" in outcome.err
    with pytest.raises(UserError, match="the weights of blaser_qe were removed"):
        blaser_scores(["blaser_qe"], *ROWS, failed=FAILED)


def test_embeddings_of_another_width_are_not_judged(slt, bundle, manifest):
    outcome = slt(*words_for(bundle, manifest, "--metrics", "blaser_ref"))
    assert outcome.code == 2
    assert "blaser_ref needs embeddings of width 1024, found 32 in the model tiny" in outcome.err


def test_texts_without_embeddings_are_not_judged(slt, own_bundle, weights, manifest, tmp_path):
    (tmp_path / "said.txt").write_text("we go\n", "utf-8")
    files = ("--hyp", tmp_path / "said.txt", "--ref", tmp_path / "said.txt")
    outcome = slt("evaluate", *files, "--metrics", "blaser_qe")
    assert outcome.code == 2
    assert "blaser_qe needs embeddings, found texts from files" in outcome.err
    card = read_card(own_bundle)
    write_card(own_bundle, replace(card, decoder=replace(card.decoder, text_encoder=None)))
    outcome = slt(*words_for(own_bundle, manifest, "--metrics", "blaser_ref"))
    assert outcome.code == 2
    assert "found no text encoder in the model" in outcome.err
    let_write(own_bundle, "t5")
    outcome = slt(*words_for(own_bundle, manifest, "--metrics", "blaser_ref"))
    assert outcome.code == 2
    assert "blaser_ref needs SONAR embeddings, found the decoder t5 in the model tiny" in outcome.err


def test_changed_weights_are_refused(slt, bundle, weights, manifest):
    path = files_folder("blaser") / FILES[0].name
    path.write_bytes(path.read_bytes() + b"!")
    outcome = slt(*words_for(bundle, manifest))
    assert outcome.code == 2
    assert FILES[0].name in outcome.err


def test_a_misspelt_one_is_told():
    with pytest.raises(UserError, match="unknown metric 'blaser_red'; known: blaser_ref, blaser_qe"):
        split_metric_names(["blaser_red"])
