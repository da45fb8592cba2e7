"""The benchmark of the text engines runs from end to end on tiny models, and both give the same."""

from __future__ import annotations

import re

import pytest

from benchmarks import text_engines


@pytest.mark.slow
def test_both_engines_give_the_same(tmp_path, capsys):
    text_engines.main(["--scratch", str(tmp_path / "scratch"), "--tiny", "--runs", "1"])
    rows = [re.split(r" *\| *", line.strip("| ")) for line in capsys.readouterr().out.splitlines() if "|" in line]
    off = {row[0]: row[-1] for row in rows if row[1] == "transformers"}
    assert list(off) == list(text_engines.STEPS)
    assert off[text_engines.ONE] == "0 of 5 texts differ"
    assert off[text_engines.FOUR] == "0 of 20 texts differ"
    assert float(off[text_engines.EMBED]) < 1e-5
    assert float(off[text_engines.LOSS]) < 1e-5
    assert not (tmp_path / "scratch").exists()
