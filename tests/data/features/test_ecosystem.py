"""The packages `datasets` and `webdataset` read what is exported; without them this is skipped.

They are not part of the environment: `pip install datasets webdataset` into a copy of it.
"""

from __future__ import annotations

import numpy as np
import pytest

from slt.data.features.export import export_shards
from slt.data.features.hf_dataset import HF_DATASET, write_card
from slt.data.features.webdataset import WEBDATASET
from slt.data.manifest import Clip
from tests.data.features.test_export import IDS, fill

CLIPS = {id: Clip(id=id, video="v.mp4", start_s=0.5, text=f"«{id}»", lang="deu_Latn") for id in IDS}


def test_datasets_loads_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    store = fill(tmp_path / "s")
    export_shards(store, tmp_path / "out", HF_DATASET, clips=CLIPS, file_bytes=100)
    write_card(tmp_path / "out", store.header, len(store))
    found = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert found["id"][:] == list(store.ids)
    for row in found:
        rows = np.asarray(row["features"], np.float16)
        np.testing.assert_array_equal(rows, store[row["id"]])
        assert (row["text"], row["start_s"]) == (f"«{row['id']}»", 0.5)


def test_webdataset_reads_the_shards(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    store = fill(tmp_path / "s")
    export_shards(store, tmp_path / "out", WEBDATASET, clips=CLIPS, file_bytes=100)
    shards = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert [sample["json"]["id"] for sample in samples] == list(store.ids)
    for sample in samples:
        assert sample["npy"].tobytes() == store[sample["json"]["id"]].tobytes()
        assert sample["json"]["text"] == f"«{sample['json']['id']}»"
