from __future__ import annotations

import pickle
import zlib

import pytest

from slt.data.features import index as module
from slt.data.features.index import Index
from slt.data.features.records import Entry, tabulate


def entries(*ids: str, at: int = 0):
    return tabulate([Entry(id=id, start=at + 64 * i, n_bytes=8, n_rows=i + 1, crc32=i) for i, id in enumerate(ids)])


def test_an_index_of_nothing():
    for index in (Index([]), Index([entries()])):
        assert (len(index), list(index), index.find("a")) == (0, [], -1)


def test_every_clip_is_found_across_shards_and_nothing_else():
    ids = [f"clip {i} ü" for i in range(1000)]
    index = Index([entries(*ids[:400]), entries(), entries(*ids[400:])])
    assert list(index) == ids
    assert [index.find(id) for id in ids] == [*range(1000)]
    assert all(index.find(id + "x") == -1 for id in ids)
    assert index.find("\ud800") == -1
    assert (index.shard[399], index.shard[400], index.start[401], index.n_rows[401]) == (0, 2, 64, 2)
    again = pickle.loads(pickle.dumps(index))
    assert [again.find(id) for id in ids] == [*range(1000)]


def test_the_first_of_equal_ids_counts():
    index = Index([entries("a", "b"), entries("b", "c", "a"), entries("a", "d")])
    assert list(index) == ["a", "b", "c", "d"]
    assert [(index.shard[i], index.start[i]) for i in range(4)] == [(0, 0), (0, 64), (1, 64), (2, 64)]
    assert index.find("d") == 3


@pytest.mark.parametrize("hashed", [lambda name: 7, lambda name: 0xFFFFFFFF, lambda name: zlib.crc32(name) & 1 << 31])
def test_ids_of_one_hash_are_told_apart(monkeypatch, hashed):
    class Colliding:
        crc32 = staticmethod(hashed)

    monkeypatch.setattr(module, "zlib", Colliding)
    index = Index([entries("a", "b"), entries("c", "a", "d")])
    assert list(index) == ["a", "b", "c", "d"]
    assert [index.find(id) for id in "abcde"] == [0, 1, 2, 3, -1]
