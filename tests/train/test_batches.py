from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest

from slt.train.batches import Batches


def how2sign_like(n=31_000):
    """Return lengths as How2Sign's: mean 6.6 s, up to 46 s, 12.5 rows a second."""
    rng = np.random.default_rng(0)
    seconds = np.clip(rng.lognormal(np.log(5.2), 0.7, n), 0.3, 46)
    return np.maximum(1, (seconds * 12.5).astype(int)).tolist()


@pytest.mark.parametrize("processes", [1, 8])
def test_little_is_padding_on_lengths_like_how2signs(processes):
    lengths = how2sign_like()
    batches = Batches(lengths=lengths, rows=8192 * processes, clips=256 * processes, multiple=processes)
    assert batches.padding() <= 0.1
    full = sum(sum(lengths[i] for i in batch) for batch in batches.epoch(0)) / batches.per_epoch
    assert full > 0.5 * 8192 * processes


@pytest.mark.parametrize("multiple", [1, 3])
def test_every_clip_comes_once_an_epoch_in_another_order(multiple):
    lengths = [random.Random(i).randint(1, 60) for i in range(200)]
    batches = Batches(lengths=lengths, rows=200, clips=16, multiple=multiple, seed=3)
    for epoch in (0, 1):
        made = batches.epoch(epoch)
        assert len(made) == batches.per_epoch
        assert sorted(i for batch in made for i in batch) == list(range(200))
        assert all(multiple <= len(batch) <= 16 for batch in made)
        assert all(len(batch) * max(lengths[i] for i in batch) <= 220 or len(batch) < 2 * multiple for batch in made)
    assert batches.epoch(0) != batches.epoch(1)
    assert batches.epoch(1) == Batches(lengths=lengths, rows=200, clips=16, multiple=multiple, seed=3).epoch(1)
    assert batches.epoch(1) != Batches(lengths=lengths, rows=200, clips=16, multiple=multiple, seed=4).epoch(1)


def test_one_goes_on_at_any_position():
    batches = Batches(lengths=list(range(1, 40)), rows=50, clips=4)
    n = batches.per_epoch
    straight = list(islice(batches.from_position(0), 3 * n))
    assert list(islice(batches.from_position(n + 2), n)) == straight[n + 2 : 2 * n + 2]
    assert [epoch for epoch, _ in straight] == [0] * n + [1] * n + [2] * n


def test_fewer_clips_than_processes_make_one_batch():
    assert Batches(lengths=[3, 90], rows=10, clips=4, multiple=4).epoch(0) in ([[0, 1]], [[1, 0]])
