from __future__ import annotations

import pytest

from slt.data.synthetic.corpus import JOINTS
from slt.data.synthetic.grammar import SPLITS
from slt_cli.prepare import Joints, Split
from tests.spelled import make_recordings


def test_a_corpus_is_drawn_and_its_manifests_are_printed(slt, tmp_path):
    outcome = slt("prepare", "synthetic", "--out", tmp_path / "corpus", "--clips", 2, "--split", "test", "--seed", 5)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{tmp_path / 'corpus' / 'test.tsv'}\n"
    assert len((tmp_path / "corpus" / "test.tsv").read_text("utf-8").splitlines()) == 1 + 2


def test_clips_are_shared_out_over_the_splits(slt, tmp_path, monkeypatch):
    asked = {}

    def write_corpus(out, n_clips, seed, *, progress, **kinds):
        asked.update(out=out, n_clips=n_clips, seed=seed, **kinds)
        progress(1, 10)
        return {split: out / f"{split}.tsv" for split in n_clips}

    monkeypatch.setattr("slt.data.synthetic.corpus.write_corpus", write_corpus)
    outcome = slt("prepare", "synthetic", "--out", tmp_path, "--clips", 10, "--joints")
    sizes = {"train": 8, "val": 1, "test": 1}
    kinds = {"with_joints": True, "with_videos": True, "skeleton": "mediapipe-75"}
    assert asked == {"out": tmp_path, "n_clips": sizes, "seed": 0, **kinds}
    assert outcome.out.splitlines() == [str(tmp_path / f"{split}.tsv") for split in ("train", "val", "test")]


def test_whole_body_points_are_drawn_without_pictures(slt, tmp_path):
    words = ["--clips", 2, "--split", "val", "--joints", "--skeleton", "coco-wholebody-133", "--no-videos"]
    assert slt("prepare", "synthetic", "--out", tmp_path / "c", *words).code == 0
    manifest, out = tmp_path / "c" / "val.tsv", tmp_path / "features"
    extract = ["--extractor", "wholebody", "--skeleton", "coco-wholebody-133", "--out", out]
    assert slt("extract-features", manifest, *extract).code == 0
    outcome = slt("features", "info", out)
    assert "coco-wholebody-133" in outcome.out
    assert slt("check-manifest", manifest, "--features", out).code == 0
    outcome = slt("prepare", "synthetic", "--out", tmp_path / "c", "--clips", 2, "--split", "val", "--no-videos")
    assert outcome.code == 2
    assert "add --joints" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"), [(["--clips", 2], "at least 3 clips"), (["--clips", 0], "--clips"), ([], "--clips")]
)
def test_too_few_clips_are_refused(slt, tmp_path, words, said):
    outcome = slt("prepare", "synthetic", "--out", tmp_path, *words)
    assert outcome.code == 2
    assert said in outcome.err


def test_the_choices_are_those_of_the_corpus():
    assert [split.value for split in Split] == list(SPLITS)
    assert [skeleton.value for skeleton in Joints] == list(JOINTS)


@pytest.mark.slow
def test_how2sign_prints_its_manifests_and_ends_with_3_when_rows_failed(slt, how2sign, tmp_path):
    out = tmp_path / "out"
    lists = [word for split in ("train", "val") for word in ("--csv", how2sign.lists[split])]
    outcome = slt("prepare", "how2sign", *lists, "--videos", how2sign.videos, "--no-cut", "--out", out)
    assert outcome.code == 3
    assert outcome.out == f"{out / 'train.tsv'}\n{out / 'val.tsv'}\n"
    assert "val: 4 clips, 4 with video, 0.01 h, ends past their video's, put back: 1" in outcome.err
    assert "in the lists: ids that begin with -: 6, merged sentences: 3, overlapping: 4" in outcome.err
    assert f"error: {len(how2sign.failed) + 1} of 20 rows failed:" in outcome.err
    assert all(said in outcome.err for said in how2sign.failed.values())
    assert "no video lostvideo01-1-rgb_front below" in outcome.err


def test_without_videos_nothing_has_failed_but_it_is_said(slt, how2sign, tmp_path):
    outcome = slt("prepare", "how2sign", "--csv", how2sign.lists["val"], "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "4 clips have no video, since no --videos was given" in outcome.err
    assert "lists the 1 videos they are in" in outcome.err


def test_a_folder_without_any_of_the_videos_is_a_mistake(slt, how2sign, tmp_path):
    outcome = slt("prepare", "how2sign", "--csv", how2sign.lists["val"], "--videos", tmp_path, "--out", tmp_path / "o")
    assert outcome.code == 2
    assert outcome.err.count("no video 10om04b2LIw-1-rgb_front below") == 1


def test_phoenix_dailymoth_and_openasl(slt, phoenix, tmp_path):
    out = tmp_path / "out"
    outcome = slt("prepare", "phoenix", "--csv", phoenix.lists["dev"], "--videos", phoenix.videos, "--out", out)
    assert (outcome.code, outcome.out) == (0, f"{out / 'val.tsv'}\n")
    (tmp_path / "train.tsv").write_text("a\t7.24\tHi.\n")
    outcome = slt("prepare", "dailymoth", "--csv", tmp_path / "train.tsv", "--out", tmp_path / "moth")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'moth' / 'train.tsv'}\n")
    rows = "vid\tyid\tstart\tend\traw-text\tsplit\na_0\ta\t00:00:05.333\t00:01:06.5\tHi.\tvalid\n"
    (tmp_path / "openasl-v1.0.tsv").write_text(rows)
    outcome = slt("prepare", "openasl", "--csv", tmp_path / "openasl-v1.0.tsv", "--out", tmp_path / "open")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'open' / 'val.tsv'}\n")


def test_a_table_and_subtitles(slt, phoenix, tmp_path):
    (tmp_path / "mine_test.csv").write_text("file;satz\nlost-1;hallo\n")
    words = ["--csv", tmp_path / "mine_test.csv", "--video", "file", "--text", "satz", "--lang", "deu_Latn"]
    outcome = slt("prepare", "table", *words, "--out", tmp_path / "table")
    assert outcome.code == 0, outcome.err
    assert "lost-1_1\t\t\t\thallo\tdeu_Latn\ttest\tlost-1" in (tmp_path / "table" / "test.tsv").read_text("utf-8")
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nHi!\n")
    outcome = slt("prepare", "table", "--subtitles", tmp_path, "--split", "train", "--out", tmp_path / "talks")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'talks' / 'train.tsv'}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either a table or subtitles"),
        (["--csv", "x.csv", "--subtitles", "x"], "give either a table or subtitles"),
        (["--csv", "x.csv", "--lang", "english"], "eng_Latn"),
        (["--csv", "x.csv"], "x.csv does not exist"),
    ],
)
def test_what_a_table_must_be_told(slt, tmp_path, words, said):
    outcome = slt("prepare", "table", *words, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert said in outcome.err


def test_words_are_spelled_with_recorded_letters(slt, tmp_path):
    poses = make_recordings(tmp_path / "lexicon")
    outcome = slt(
        "prepare", "fingerspelling", "--out", tmp_path / "a", "--clips", 10, "--poses", poses, "--held-out", "asq"
    )
    assert outcome.code == 0
    assert outcome.out.split() == [str(tmp_path / "a" / f"{split}.tsv") for split in ("train", "val", "test")]
    assert "\tasq" not in (tmp_path / "a" / "train.tsv").read_text()
    assert (tmp_path / "a" / "test.tsv").read_text().splitlines()[1].endswith("\tasq")
    assert slt("check-manifest", *outcome.out.split()).code == 0
    outcome = slt(
        "prepare", "fingerspelling", "--out", tmp_path / "b", "--clips", 4, "--split", "val", "--poses", poses
    )
    assert outcome.out.split() == [str(tmp_path / "b" / "val.tsv")]
    outcome = slt("prepare", "fingerspelling", "--out", tmp_path / "c", "--clips", 4, "--poses", tmp_path)
    assert outcome.code == 2
    assert "has no index.csv" in outcome.err
