"""The benchmark of fingerspelling at small size: every row of its table, and a training that is kept."""

from __future__ import annotations

import pytest

from benchmarks import fingerspelling
from tests.spelled import make_recordings


@pytest.mark.slow
def test_it_prints_every_row_and_keeps_its_training(tmp_path, capsys):
    poses = make_recordings(tmp_path / "lexicon")
    command = [
        "--out",
        str(tmp_path / "runs"),
        "--poses",
        str(poses),
        "--steps",
        "4",
        "--clips",
        "5",
        "--signers",
        "asq",
    ]
    fingerspelling.main(command)
    first = capsys.readouterr().out
    rows = {line.split("\t")[1]: line.split("\t") for line in first.splitlines()}
    assert list(rows) == [
        "words",
        "random strings",
        "words, hand frozen",
        "words, frames shuffled",
        "words, nearest neighbours",
        "letters recorded alone",
        "confusions",
    ]
    assert float(rows["words, nearest neighbours"][2].partition(" ")[0]) > 90, "letters that anybody can tell apart"
    kept = (tmp_path / "runs" / "without-asq-4.safetensors").stat().st_mtime_ns
    fingerspelling.main(command)
    assert capsys.readouterr().out == first
    assert (tmp_path / "runs" / "without-asq-4.safetensors").stat().st_mtime_ns == kept
