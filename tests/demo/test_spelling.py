"""The whole way from recorded letters to a bundle that reads them, at small size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from slt.assets.cards import read_card
from slt.core.errors import UserError
from slt.data.fingerspelling.alphabets import LETTERS
from slt.data.fingerspelling.corpus import held_out_clips, recorded
from slt.data.fingerspelling.recordings import DIGEST, digest_of, read_recordings
from slt.data.fingerspelling.spell import Letters
from slt.demo.spelling import train_spelling
from slt.demo.spelling_plan import SpellingPlan
from slt.demo.spelling_score import confusions, read_words, score_spelling
from slt.demo.spelling_train import describe, load_models, origin_of, save_models, train_fingerspelling
from slt.models.spelling import NO_HAND
from slt.pipeline.segment import NO_PERSON
from slt.pipeline.translator import Translator
from slt.video.keypoints import POSE, PoseFile, write_pose
from tests.spelled import make_recordings

SMALL = SpellingPlan(steps=8, batch=4, test_clips=6)


@pytest.fixture(scope="module")
def poses(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp("spelled") / "lexicon")


@pytest.fixture(scope="module")
def run(poses, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train_fingerspelling(out, SMALL, poses=poses)


def test_a_run_leaves_a_bundle_that_says_how_it_was_made(run, poses, tmp_path):
    out, scores = run
    card = read_card(out / "bundle")
    assert (card.name, card.languages, card.extractor.kind) == ("fingerspelling", ("eng_Latn",), "keypoints")
    assert card.made["held_out"]["signer"] == "ase"
    assert card.made["held_out"]["words"]["cer"] == scores["words"].cer
    assert card.made["from"] == f"a user's own recordings of letters, SHA-256 {digest_of(poses)}"
    assert "spoken-to-signed 0.4.0, MIT" in origin_of(DIGEST)
    assert "J and Z" in card.made["cannot"]
    assert (out / "bundle" / "letters.txt").read_text().split() == list(LETTERS)
    before = (out / "bundle" / "encoder.safetensors").read_bytes()
    train_fingerspelling(out, SMALL, poses=poses)
    assert (out / "bundle" / "encoder.safetensors").read_bytes() == before, "what is done is not done again"
    with pytest.raises(UserError, match="holds a run of another plan"):
        train_fingerspelling(out, SpellingPlan(), poses=poses)
    others = make_recordings(tmp_path / "others", ("ase", "asq"))
    with pytest.raises(UserError, match="holds a run of another plan"):
        train_fingerspelling(out, SMALL, poses=others)


def test_the_same_plan_trains_the_same_weights(run, poses, tmp_path):
    out, _ = run
    again = tmp_path / "again"
    train_fingerspelling(again, SMALL, poses=poses)
    for file in ("encoder.safetensors", "text_decoder.safetensors"):
        assert (again / "bundle" / file).read_bytes() == (out / "bundle" / file).read_bytes()


def test_the_bundle_reads_pose_files_and_says_what_it_does_not_see(run, poses, tmp_path):
    out, _ = run
    (clip,) = held_out_clips(recorded(Letters(read_recordings(poses)), "ase"), "ase", 1, seed=0)
    write_pose(tmp_path / "word.pose", PoseFile(keypoints=clip.keypoints, fps=25, height=500, width=500))
    translator = Translator(out / "bundle")
    found = translator.translate(tmp_path / "word.pose")
    assert found.warnings == []
    assert set(found.text()) <= set(LETTERS)
    said = json.loads(json.dumps(found.as_json()))["texts"]["eng_Latn"][0]
    assert [one["letter"] for one in said["letters"]] == list(said["text"])
    no_hand = clip.keypoints.copy()
    no_hand[:, POSE.stop :] = np.nan
    for name, keypoints, warning in (("no-hand", no_hand, NO_HAND), ("nobody", no_hand * np.nan, NO_PERSON)):
        write_pose(tmp_path / f"{name}.pose", PoseFile(keypoints=keypoints, fps=25, height=500, width=500))
        assert translator.translate(tmp_path / f"{name}.pose").warnings == [warning]


def test_the_shape_of_the_picture_does_not_matter(run, poses, tmp_path):
    out, _ = run
    (clip,) = held_out_clips(recorded(Letters(read_recordings(poses)), "ase"), "ase", 1, seed=0)
    wide = clip.keypoints * np.array([1, 2, 1], np.float32)  # of a picture twice as wide as high
    translator = Translator(out / "bundle")
    features = []
    for name, keypoints, height in (("square", clip.keypoints, 400), ("wide", wide, 200)):
        write_pose(tmp_path / f"{name}.pose", PoseFile(keypoints=keypoints, fps=25, height=height, width=400))
        features.append(translator.translate(tmp_path / f"{name}.pose").features)
    torch.testing.assert_close(*features, rtol=0, atol=1e-5, equal_nan=True)


@pytest.mark.slow
def test_letters_are_learnt_from_others_and_read_from_a_signer_never_seen(poses):
    letters = Letters([one for one in read_recordings(poses) if not one.derived])
    own = recorded(letters, "asq")
    others = Letters([one for one in letters.recordings if one.language != "asq"])
    plan = SpellingPlan(steps=80, batch=8, learning_rate=5e-3)
    losses = []
    checkpoint = poses.parent / "checkpoint"
    models = train_spelling(others, plan, checkpoint=checkpoint, on_step=lambda done, one: losses.append(one["frames"]))
    assert losses[-1] < losses[0] / 2
    clips = held_out_clips(own, "asq", 30, seed=0)
    texts = [clip.spelled.text for clip in clips]
    read = read_words(models, [clip.keypoints for clip in clips])
    assert score_spelling(read, texts).letters > 0.6, list(zip(texts, read, strict=True))
    frozen = read_words(models, [np.repeat(clip.keypoints[:1], len(clip.keypoints), 0) for clip in clips])
    assert score_spelling(frozen, texts).letters < 0.4
    save_models(poses.parent / "models.safetensors", models)
    again = load_models(poses.parent / "models.safetensors")
    assert read_words(again, [clip.keypoints for clip in clips]) == read


def test_letters_and_characters_are_counted():
    score = score_spelling(["CAT", "DG", "MOUSES"], ["CAT", "DOG", "HOUSE"])
    assert score.letters == pytest.approx(9 / 11)
    assert score.cer == pytest.approx(3 / 11)
    assert (score.n_clips, score.n_letters) == (3, 11)
    assert score.letters_interval[0] <= score.letters <= score.letters_interval[1]
    assert confusions(["DG", "MOUSES"], ["DOG", "HOUSE"]) == {("O", ""): 1, ("H", "M"): 1, ("", "S"): 1}
    assert describe(score).startswith("letters 81.8 % (")
