from __future__ import annotations

import numpy as np
import pytest

from slt.recipe.data import Augment
from slt.train.augment import _read_at, augment

ROWS = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
SPREAD = np.ones(6, np.float32)


def disturbed(seed=0, rows=ROWS, **settings):
    return augment((rows,), Augment(**settings), (SPREAD,), np.random.default_rng(seed))[0]


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


def test_two_streams_are_played_at_one_speed_and_cut_at_one_time():
    clock = np.arange(40, dtype=np.float32)[:, None] + 0.5
    settings = Augment(rate=0.3, crop=0.5)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        fast, slow = augment((clock / 40, clock[:20] / 20), settings, (SPREAD[:1], SPREAD[:1]), rng)
        assert len(fast) == pytest.approx(2 * len(slow), abs=3)
        assert fast[[0, -1], 0] == pytest.approx(slow[[0, -1], 0], abs=0.07)
        alone = augment((clock / 40,), settings, (SPREAD[:1],), np.random.default_rng(seed))
        assert np.array_equal(fast, alone[0])


@pytest.mark.parametrize("name", ["mask", "feature_dropout"])
def test_what_is_hidden_in_keypoints_counts_as_not_seen(name):
    rng = np.random.default_rng(3)
    joints, pictures = augment((ROWS, ROWS), Augment(**{name: 0.5}), (SPREAD, SPREAD), rng, blank=np.nan)
    hidden, blank = np.isnan(joints), pictures == 0
    assert 0 < hidden.sum() < hidden.size
    assert 0 < blank.sum() < blank.size
    assert np.array_equal(joints[~hidden], ROWS[~hidden])
    assert not np.array_equal(hidden, blank)


@pytest.mark.parametrize("unseen", [0.1, 0.3])
def test_playing_faster_or_slower_leaves_seen_what_was_seen(unseen):
    rng = np.random.default_rng(4)
    joints = rng.standard_normal((400, 60)).astype(np.float32)
    joints[rng.random(joints.shape) < unseen] = np.nan
    played = [disturbed(seed, rows=joints, rate=0.4) for seed in range(8)]
    assert {len(rows) > 400 for rows in played} == {True, False}
    assert [np.isnan(rows).mean() for rows in played] == pytest.approx([unseen] * 8, abs=0.02)
    assert np.array_equal(_read_at(joints, 400), joints, equal_nan=True)
    twice = _read_at(joints, 799)  # every row, and one between each and the next
    assert np.array_equal(twice[::2], joints, equal_nan=True)
    one_seen = np.isnan(joints[:-1]) != np.isnan(joints[1:])
    assert np.array_equal(twice[1::2][one_seen], joints[1:][one_seen], equal_nan=True)
    both_seen = ~np.isnan(joints[:-1] + joints[1:])
    assert twice[1::2][both_seen] == pytest.approx(((joints[:-1] + joints[1:]) / 2)[both_seen], abs=1e-5)
