from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from slt.data.features.export import export_shards
from slt.data.features.hf_dataset import HF_DATASET
from slt.data.features.open import open_features
from slt.data.features.webdataset import WEBDATASET
from slt.train.loader import Clips
from slt.train.prepare import prepare, train_loader
from tests.train.test_prepare import random_targets


@pytest.fixture
def clips(make) -> Clips:
    recipe = make(data={"langs": ["eng_Latn", "deu_Latn"]})
    return train_loader(recipe, prepare(recipe, random_targets, processes=1), (0, 1)).dataset


def test_a_process_that_reads_ahead_makes_the_same_batch_without_all_clips_and_targets(clips):
    there: Clips = pickle.loads(pickle.dumps(clips))
    assert (there.corpus.examples, there.targets) == ((), None)
    for epoch in range(3):
        key = (epoch, (5, 0, 7), 3)
        request = pickle.loads(pickle.dumps(clips.request(key)))
        batch, expected = clips.with_targets(there[request]), clips[key]
        assert (batch.ids, batch.texts, batch.langs) == (expected.ids, expected.texts, expected.langs)
        assert torch.equal(batch.targets, expected.targets)
        assert torch.equal(batch.features.features, expected.features.features)


@pytest.mark.parametrize("kind", [WEBDATASET, HF_DATASET], ids=lambda kind: kind.name)
def test_training_reads_exported_features_as_they_are(make, splits, tmp_path, kind):
    recipe = make()
    expected = next(iter(train_loader(recipe, prepare(recipe, random_targets, processes=1), (0, 1))))
    export_shards(open_features(Path(splits["train"]["features"])), tmp_path / "out", kind, file_bytes=2000)
    recipe = make(data={"train": {**splits["train"], "features": str(tmp_path / "out")}})
    batch = next(iter(train_loader(recipe, prepare(recipe, random_targets, processes=1), (0, 1))))
    assert batch.ids == expected.ids
    assert torch.equal(batch.features.features, expected.features.features)


@pytest.mark.slow
def test_batches_are_the_same_whoever_reads_them(make):
    batches = []
    for workers in (0, 1):
        recipe = make(data={"workers": workers})
        loader = train_loader(recipe, prepare(recipe, random_targets, processes=1), (0, 1))
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) > 0
    for one, other in zip(*batches, strict=True):
        assert one.ids == other.ids
        np.testing.assert_array_equal(one.targets, other.targets)
        np.testing.assert_array_equal(one.features.features, other.features.features)
