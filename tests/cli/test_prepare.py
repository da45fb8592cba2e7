from __future__ import annotations

import pytest

from slt.data.synthetic.grammar import SPLITS
from slt_cli.prepare import Split


def test_a_corpus_is_drawn_and_its_manifests_are_printed(slt, tmp_path):
    outcome = slt("prepare", "synthetic", "--out", tmp_path / "corpus", "--clips", 2, "--split", "test", "--seed", 5)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{tmp_path / 'corpus' / 'test.tsv'}\n"
    assert len((tmp_path / "corpus" / "test.tsv").read_text("utf-8").splitlines()) == 1 + 2


def test_clips_are_shared_out_over_the_splits(slt, tmp_path, monkeypatch):
    asked = {}

    def write_corpus(out, n_clips, seed, *, progress):
        asked.update(out=out, n_clips=n_clips, seed=seed)
        progress(1, 10)
        return {split: out / f"{split}.tsv" for split in n_clips}

    monkeypatch.setattr("slt.data.synthetic.corpus.write_corpus", write_corpus)
    outcome = slt("prepare", "synthetic", "--out", tmp_path, "--clips", 10)
    assert asked == {"out": tmp_path, "n_clips": {"train": 8, "val": 1, "test": 1}, "seed": 0}
    assert outcome.out.splitlines() == [str(tmp_path / f"{split}.tsv") for split in ("train", "val", "test")]


@pytest.mark.parametrize(
    ("words", "said"), [(["--clips", 2], "at least 3 clips"), (["--clips", 0], "--clips"), ([], "--clips")]
)
def test_too_few_clips_are_refused(slt, tmp_path, words, said):
    outcome = slt("prepare", "synthetic", "--out", tmp_path, *words)
    assert outcome.code == 2
    assert said in outcome.err


def test_the_choices_are_those_of_the_corpus():
    assert [split.value for split in Split] == list(SPLITS)
