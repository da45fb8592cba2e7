"""Spelled words: what is spelled when, by whom, and the files of a corpus."""

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.fingerspelling.alphabets import LETTERS
from slt.data.fingerspelling.corpus import held_out_clips, mirrored, place, recorded, usable, write_spelled_corpus
from slt.data.fingerspelling.spell import HELD_OUT, NO_LETTER, spell
from slt.data.fingerspelling.words import SPLITS, random_string, split_of, words
from slt.data.manifest import read_manifest
from slt.data.synthetic.corpus import write_corpus
from slt.video.keypoints import LEFT_HAND, RIGHT_HAND, read_pose
from tests.spelled import hand


def test_splits_share_no_text_and_words_are_of_the_alphabet():
    lists = [set(words(split)) for split in SPLITS]
    assert sum(map(len, lists)) == len(set.union(*lists)) > 500
    assert set("".join(set.union(*lists))) == set(LETTERS)
    assert len(lists[2]) >= 200, "the test words of the figures"
    assert all(set(word) <= set("ABCDE") for word in words("train", "ABCDE"))


def test_random_strings_belong_to_their_split():
    rng = np.random.default_rng(0)
    found = [random_string("val", "ABC", rng) for _ in range(20)]
    assert all(split_of(text) == "val" and set(text) <= set("ABC") for text in found)


def test_a_word_holds_its_letters_in_order(letters):
    spelled = spell("ABBA", letters, "ase", np.random.default_rng(0), HELD_OUT)
    held = [number for number in spelled.letters if number != NO_LETTER]
    assert sorted(set(held)) == [0, 1, 2, 3]
    assert held == sorted(held)
    between = np.flatnonzero(np.diff(spelled.letters == NO_LETTER))
    assert len(between) >= 6, "there is a way between any two letters, alike or not"
    here = spelled.hand[spelled.letters == 2]
    here = np.nanmean(here - here[:, :1], 0)
    distance = {
        letter: np.linalg.norm(here[:, :2] - hand(letter)[:, :2] / 1.1, axis=-1).mean() for letter in ("A", "B", "W")
    }
    assert min(distance, key=distance.get) == "B"


def test_the_same_chance_spells_the_same_and_another_does_not(letters):
    first, again, other = (spell("SLT", letters, "asq", np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.hand, again.hand)
    assert first.hand.shape != other.hand.shape or not np.allclose(first.hand, other.hand, equal_nan=True)


def test_joints_are_lost_by_whole_frames(letters):
    hands = np.concatenate([spell("LOST", letters, "ase", np.random.default_rng(seed)).hand for seed in range(20)])
    lost = np.isnan(hands).any((1, 2))
    assert (lost == np.isnan(hands).all((1, 2))).all()
    assert 0 < lost.mean() < 0.2


def test_left_handed_words_are_mirrored(letters):
    spelled = spell("LEFT", letters, "ase", np.random.default_rng(0), HELD_OUT)
    placed = [place(spelled, letters.own["ase"]["L"][0], np.random.default_rng(seed)) for seed in range(30)]
    left = [one for one in placed if np.isfinite(one[:, LEFT_HAND]).any()]
    right = [one for one in placed if np.isfinite(one[:, RIGHT_HAND]).any()]
    assert 0 < len(left) < len(right)
    assert len(left) + len(right) == 30
    np.testing.assert_allclose(mirrored(mirrored(right[0])), right[0], atol=1e-6)
    assert mirrored(right[0])[0, 11, 0] == pytest.approx(1 - right[0][0, 12, 0]), "the shoulders change sides, too"


def test_held_out_words_are_the_signers_own(letters):
    own = recorded(letters, "asq")
    assert not any(one.derived or one.language != "asq" for one in own.recordings)
    assert "asq" not in usable(letters, "asq").own
    clips = held_out_clips(own, "asq", 12, seed=1)
    texts = [clip.spelled.text for clip in clips]
    assert len(set(texts)) == 12
    assert all(split_of(text) == "test" and text in words("test") for text in texts)
    assert not any("Q" in text or "T" in text for text in texts), "which differ in Austria"
    assert [clip.spelled.text for clip in held_out_clips(own, "asq", 12, seed=1)] == texts
    strings = held_out_clips(own, "asq", 5, seed=1, random=True)
    assert all(clip.spelled.text not in words("test") for clip in strings)
    with pytest.raises(UserError, match="no signer 'swl' whose letters agree"):
        recorded(letters, "swl")
    with pytest.raises(UserError, match="no signer 'gsg' whose letters agree"):
        recorded(letters, "gsg")


def test_a_corpus_is_manifests_and_pose_files(poses, tmp_path):
    done = []
    settings = {"poses": poses, "held_out": "ase", "progress": lambda *counts: done.append(counts)}
    manifests = write_spelled_corpus(tmp_path / "a", {"train": 4, "test": 3}, 1, **settings)
    again = write_spelled_corpus(tmp_path / "b", {"train": 4, "test": 3}, 1, poses=poses, held_out="ase")
    assert done[-1] == (7, 7)
    for split, manifest in manifests.items():
        found = read_manifest(manifest)
        rows = found.clips
        assert len(rows) == {"train": 4, "test": 3}[split]
        assert manifest.read_bytes() == again[split].read_bytes()
        for row in rows:
            assert split_of(row.text) == split
            assert (row.extra["signer"] == "ase") == (split == "test")
            video = found.video_path(row)
            pose = read_pose(video)
            assert pose.fps == 25
            assert np.isfinite(pose.keypoints[:, 33:]).any()
            assert (tmp_path / "b" / video.relative_to(tmp_path / "a")).read_bytes() == video.read_bytes()


def test_two_corpora_are_never_mixed(poses, tmp_path):
    out = tmp_path / "corpus"
    with pytest.raises(UserError, match="no signer 'aes' whose letters agree"):
        write_spelled_corpus(out, {"train": 1}, 1, poses=poses, held_out="aes")
    assert not out.exists(), "a mistyped signer is noticed before anything is written"
    write_spelled_corpus(out, {"train": 2}, 1, poses=poses, held_out="ase")
    write_spelled_corpus(out, {"train": 3, "test": 1}, 1, poses=poses, held_out="ase")
    with pytest.raises(UserError, match="holds another corpus, with seed 1, held out ase; asked for is seed 2"):
        write_spelled_corpus(out, {"train": 2}, 2, poses=poses)
    (tmp_path / "train.tsv").write_text("id\n")
    with pytest.raises(UserError, match=r"holds train\.tsv of another origin"):
        write_spelled_corpus(tmp_path, {"train": 1}, 1, poses=poses)
    write_corpus(tmp_path / "drawn", {}, 3)
    with pytest.raises(UserError, match="holds another corpus, with kind None"):
        write_spelled_corpus(tmp_path / "drawn", {"train": 1}, 3, poses=poses)
    with pytest.raises(UserError, match="holds a corpus of kind fingerspelling, seed 1"):
        write_corpus(out, {}, 1)
