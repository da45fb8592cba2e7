"""Translating several clips at once, where their features are stored: what is held, and what is not hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import SltError, Stopped
from slt.core.signals import StopRequests
from slt.data.manifest import Clip, Manifest
from slt.evaluate import from_features
from slt.evaluate.from_features import FeatureTranslator
from slt.evaluate.model import ModelSettings
from slt.evaluate.progress_log import ProgressLog

CLIPS = [Clip(id=str(number), video=None, text="we go", lang="eng_Latn", start_s=0.0, end_s=2.0) for number in range(6)]
MANIFEST = Manifest(path=Path("m.tsv"), clips=tuple(CLIPS), columns=())


class Store(dict):
    """Features by clip, which notes what is read."""

    def __init__(self):
        super().__init__({clip.id: np.full((3, 2), int(clip.id), np.float32) for clip in CLIPS})
        self.read = []

    def __getitem__(self, id):
        self.read.append(id)
        return super().__getitem__(id)


@pytest.fixture
def translator(monkeypatch):
    monkeypatch.setattr(from_features, "clips_at_once", lambda device: 2)
    settings = ModelSettings(model="none", lang="eng_Latn", device="cpu")
    translator = FeatureTranslator(settings, ProgressLog(None, {}), Store())
    translator.searched = []

    def from_many(rows, seconds):
        translator.searched.append(list(translator._features.read))
        if any(one[0, 0] == 2 for one in rows):
            raise RuntimeError("fails")
        return [{"text": str(one[0, 0])} for one in rows]

    monkeypatch.setattr(translator, "_from_many", from_many)
    return translator


def test_rows_are_read_for_one_search_at_a_time_and_failures_left(translator):
    done = []
    translator.translate_ahead(MANIFEST, CLIPS, StopRequests(), done.append)
    assert [len(read) for read in translator.searched] == [8, 10, 12]  # six for their keys, then two each
    assert done == [2, 4, 6]
    store = translator._features
    logged = [clip.id for clip in CLIPS if translator._key(clip, store[clip.id]) in translator._log]
    assert logged == ["0", "1", "4", "5"]


def test_a_full_disk_is_not_hidden(translator, monkeypatch):
    def add(log, key, record):
        raise SltError("no space left on the device")

    monkeypatch.setattr(ProgressLog, "add", add)
    with pytest.raises(SltError, match="no space left"):
        translator.translate_ahead(MANIFEST, CLIPS, StopRequests(), lambda done: None)
    assert len(translator.searched) == 1


def test_a_stop_is_heard_while_keys_are_made(translator, monkeypatch, tmp_path):
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path))
    with pytest.raises(Stopped):
        translator.translate_ahead(MANIFEST, CLIPS, StopRequests(), lambda done: None)
    assert not translator._features.read
