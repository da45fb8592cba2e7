"""The benchmark runs from end to end on tiny models, and both ways it compares give the same."""

from __future__ import annotations

import re

import pytest

from benchmarks import pipeline


@pytest.mark.slow
def test_both_ways_give_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "home"))
    pipeline.main(["--scratch", str(tmp_path / "scratch"), "--tiny"])
    rows = [re.split(r" *\| *", line.strip("| ")) for line in capsys.readouterr().out.splitlines() if "|" in line]
    off = {(row[0], row[1]): row[-1] for row in rows if len(row) == 6}
    assert float(off["features", "float32"]) < 1e-5
    assert float(off["embedding", "float32"]) < 1e-5
    assert float(off["features", "bfloat16"]) < 0.1
    assert off["text, 4 languages", "float32"] == "0 of 2 texts"
    assert {stage for stage, _ in off} >= set(pipeline.STAGES)
    assert not (tmp_path / "scratch").exists()
