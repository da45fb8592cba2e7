"""Mistakes planted into slt are found by the pretend accelerator, and by what they would do on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slt.core.device import Work
from slt.core.errors import SltError
from slt.core.tensors import FeatureBatch, lengths_to_mask
from slt.extract.jobs import gather_jobs
from slt.extract.run import extract
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.frontend.run import many_clip_features
from slt.frontend.signhiera import SignHieraFrontend
from slt.pipeline.translator import Translator
from slt.train import objectives
from tests.pretend import lightning_device
from tests.train.whole import finish


def test_a_weight_left_on_the_cpu(bundle, clip):
    translator = Translator(bundle)
    translator.load().encoder.projection_out.to("cpu")
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        translator.translate(clip)


def test_a_mask_made_on_the_cpu(bundle, clip, monkeypatch):
    made_there = property(lambda batch: lengths_to_mask(batch.lengths, batch.features.shape[1]))
    monkeypatch.setattr(FeatureBatch, "mask", made_there)
    with pytest.raises(RuntimeError, match="same device"):
        Translator(bundle).translate(clip)


def test_numpy_on_device_memory(bundle, clip, monkeypatch):
    genuine = SignHieraFrontend.features

    def features(frontend, inputs):
        return [(torch.from_numpy(np.abs(rows.numpy())),) for (rows,) in genuine(frontend, inputs)]

    monkeypatch.setattr(SignHieraFrontend, "features", features)
    with pytest.raises(TypeError, match="can't convert pretend:0 device type tensor to numpy"):
        Translator(bundle).translate(clip)


def test_a_generator_of_the_cpu(make, tmp_path, monkeypatch):
    def noisy(embeddings, *_):
        return embeddings + torch.randn(embeddings.shape, device=embeddings.device, generator=torch.Generator())

    lightning_device.register()
    monkeypatch.setattr(objectives, "_noisy", noisy)
    recipe = make(objective={"kind": "sonar-space", "auto_encoding": 0.1}, trainer={"device": "auto", "epochs": 1})
    with pytest.raises(RuntimeError) as caught:
        finish(recipe, tmp_path / "run")
    first = caught.value
    while first.__context__:  # of what fails in putting everything away after it
        first = first.__context__
    assert "Expected a 'pretend' device type for generator but found 'cpu'" in str(first)


def test_a_copy_that_is_read_before_it_is_there(bundle, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(Work, "wait", lambda work: work._results)
    report = extract(gather_jobs(videos[:2]), load_frontend(None, Settings(model=str(bundle))), tmp_path / "s")
    assert [type(error) for _, error in report.failures] == [SltError] * 2
    assert "NaN" in report.failures[0][1].message


def test_a_number_read_back_in_a_loop(bundle, videos, device, monkeypatch):
    genuine = SignHieraFrontend.features

    def features(frontend, inputs):
        return [streams for streams in genuine(frontend, inputs) if float(streams[0].mean()) < torch.inf]

    frontend = load_frontend(None, Settings(model=str(bundle)))
    counts = []
    for planted in (genuine, features):
        monkeypatch.setattr(SignHieraFrontend, "features", planted)
        with device.counting() as waits:
            outcomes = list(many_clip_features(gather_jobs(videos[:6]), frontend, n_workers=2))
        assert all(one.found for one in outcomes)
        counts.append(waits)
    assert counts[0] == {}
    assert counts[1]["read back an element"] >= 6


def test_windows_sent_from_memory_that_is_not_pinned(bundle, videos, device, monkeypatch):
    monkeypatch.setattr(
        "slt.frontend.signhiera.send_joined",
        lambda arrays, device: torch.from_numpy(np.concatenate(arrays)).to(device, non_blocking=True),
    )
    frontend = load_frontend(None, Settings(model=str(bundle)))
    with device.counting() as waits:
        list(many_clip_features(gather_jobs(videos[:3]), frontend, n_workers=2))
    assert waits["copied in from unpinned memory"] >= 1
