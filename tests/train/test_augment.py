from __future__ import annotations

import numpy as np
import pytest

from slt.recipe.schema import Augment
from slt.train.augment import augment

ROWS = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
SPREAD = np.ones(6, np.float32)


def disturbed(seed=0, rows=ROWS, **settings):
    return augment(rows, Augment(**settings), SPREAD, np.random.default_rng(seed))


def test_nothing_asked_for_changes_nothing():
    assert np.array_equal(disturbed(), ROWS)


@pytest.mark.parametrize("name", ["rate", "crop", "drop", "mask", "noise", "feature_dropout"])
def test_the_generator_alone_decides(name):
    before = ROWS.copy()
    assert np.array_equal(disturbed(5, **{name: 0.4}), disturbed(5, **{name: 0.4}))
    assert any(disturbed(seed, **{name: 0.4}).shape != ROWS.shape for seed in range(9)) or not np.array_equal(
        disturbed(5, **{name: 0.4}), ROWS
    )
    assert np.array_equal(ROWS, before)
    assert disturbed(5, **{name: 0.4}).dtype == np.float32
    assert len(disturbed(3, rows=ROWS[:1], **{name: 0.9})) >= 1


def test_each_does_what_it_says():
    sizes = [len(disturbed(seed, rate=0.2)) for seed in range(50)]
    assert 32 <= min(sizes) < max(sizes) <= 48
    assert 24 <= min(len(disturbed(seed, crop=0.4)) for seed in range(50)) < 30
    assert 10 < np.mean([len(disturbed(seed, drop=0.5)) for seed in range(50)]) < 30
    zeros = [int((disturbed(seed, mask=0.5) == 0).all(1).sum()) for seed in range(50)]
    assert 15 <= max(zeros) <= 20
    assert (disturbed(3, feature_dropout=0.5) == 0).all(0).any()
    assert np.std(disturbed(3, noise=0.5) - ROWS) == pytest.approx(0.5, abs=0.1)
