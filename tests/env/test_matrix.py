from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from slt.env.matrix import PINNED, ROWS, row_of, rows_with, same_version, table

ROOT = Path(__file__).parents[2]


def test_the_pinned_row_is_what_the_project_declares():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    pins = {name: version for name, _, version in (line.partition("==") for line in declared) if version}
    assert pins["torch"] == PINNED.torch
    assert pins["torchaudio"] == PINNED.torchaudio
    assert pins["fairseq2"] == PINNED.fairseq2
    assert pins["sonar-space"] == PINNED.sonar_space


def test_rows_are_found_from_both_sides():
    assert row_of("0.8.1") is PINNED
    assert row_of("0.6.0") is row_of("0.6") is not None
    assert row_of("0.9.0") is None
    assert [row.fairseq2 for row in rows_with("2.8.0+cu126")] == ["0.6", "0.5.2"]
    assert rows_with("2.4.0") == []


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [("2.9.1+cu128", "2.9.1", True), ("0.6", "0.6.0", True), ("2.9", "2.9.1", False), ("0.5.10", "0.5.1", False)],
)
def test_versions_are_one_whatever_their_label_and_closing_zeros(left, right, same):
    assert same_version(left, right) is same


def test_the_table_has_every_row_and_the_pinned_one_in_bold():
    lines = table().splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert lines[2].startswith("| **0.8.1** | **0.8.1** | **2.9.1 (12.8)** | **2.9.1** | **0.5.0** | **3.11, 3.12** |")
    assert all(any(line.startswith(f"| {row.fairseq2} | ") for line in lines) for row in ROWS if row is not PINNED)
