"""Embeddings of target texts as a table."""

from __future__ import annotations

import numpy as np
import pytest

from slt.train.targets import Targets, no_targets


def test_variance_and_length_are_those_of_the_whole_table_in_whatever_blocks(monkeypatch):
    table = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32) * np.float32(3) + np.float32(100)
    targets = Targets(table=table, rows={})
    monkeypatch.setattr("slt.train.targets.ROWS_AT_ONCE", 4)
    assert targets.variance == pytest.approx(table.astype(np.float64).var(0).mean(), rel=1e-12)
    assert targets.mean_length == pytest.approx(np.linalg.norm(table.astype(np.float64), axis=1).mean(), rel=1e-6)


def test_targets_of_no_width_have_the_variance_1():
    assert no_targets([("hello", "eng_Latn")]).variance == 1.0
