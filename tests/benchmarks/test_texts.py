"""The benchmark of texts searched together runs from end to end on tiny models."""

from __future__ import annotations

import re

import pytest

from benchmarks import texts


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--engine", "transformers", "--int8"], ["--kind", "mt5"]])
def test_texts_are_those_found_alone(words, capsys):
    texts.main(["--tiny", "--clips", "4", "--tokens", "4", *words])
    rows = [re.split(r" *\| *", line.strip("| ")) for line in capsys.readouterr().out.splitlines() if "|" in line]
    assert [row[0] for row in rows[2:]] == ["1", "2", "4"]
    assert [row[4] for row in rows[2:]] == ["0"] * 3
    assert all(float(row[5].removeprefix("≤ ")) < 1e-5 for row in rows[2:])
