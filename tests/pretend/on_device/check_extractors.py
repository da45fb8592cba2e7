"""Every extractor on the pretend accelerator: the features are the CPU's."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from transformers import TimesformerConfig, TimesformerForVideoClassification, VideoMAEImageProcessor

from slt.data.features.store import FeatureStore
from slt.extract.jobs import gather_jobs
from slt.frontend.base import Settings
from slt.frontend.registry import make_frontend
from slt.frontend.run import clip_features, many_clip_features
from slt_cli.main import main
from tests.frame_bundles import VISION

TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05, "float16": 0.01}


@pytest.fixture(scope="module")
def timesformer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timesformer")
    torch.manual_seed(0)
    TimesformerForVideoClassification(TimesformerConfig(num_frames=4, **VISION)).save_pretrained(folder)
    VideoMAEImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture
def models(bundle, siglip_folder, both_bundle, timesformer):
    return {
        "signhiera": str(bundle),
        "siglip": str(siglip_folder),
        "timesformer": str(timesformer),
        "keypoints+siglip": str(both_bundle),
        "keypoints": None,
        "wholebody": None,
    }


def features(kind, jobs, **settings):
    frontend = make_frontend(kind, Settings(**settings)).load()
    found = {one.clip.id: one for one in many_clip_features(jobs, frontend, n_workers=2)}
    assert not [one.error for one in found.values() if one.error]
    return {id: [rows.float().cpu() for rows in one.found.readings[0]] for id, one in found.items()}


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, dtype) for kind in ("signhiera", "siglip", "timesformer") for dtype in ("float32", "bfloat16")),
        ("keypoints+siglip", "bfloat16"),
        ("keypoints", "float32"),
        ("wholebody", "float32"),
    ],
)
def test_its_features_are_those_of_the_cpu(kind, dtype, models, videos, drawn):
    by_joints = "keypoints" in kind or kind == "wholebody"
    jobs = gather_jobs([drawn] if by_joints else videos[:4])
    settings = {"model": models[kind], "dtype": dtype, "detector": "pose-file" if kind == "wholebody" else None}
    assert make_frontend(kind, Settings(**settings)).device.type == "pretend"
    expected = features(kind, jobs, **settings, device="cpu")
    for id, found in features(kind, jobs, **settings).items():
        for ours, theirs in zip(found, expected[id], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE[dtype], equal_nan=True)


def test_a_store_of_several_clips_by_the_command(bundle, videos, tmp_path, capsys):
    words = ["extract-features", *videos[:5], "--model", bundle, "--out", tmp_path / "s", "--dtype", "bfloat16"]
    assert main(list(map(str, words))) == 0, capsys.readouterr().err
    assert len(FeatureStore.open(tmp_path / "s").ids) == 5


@pytest.mark.parametrize("kind", ["signhiera", "siglip", "timesformer"])
def test_the_device_waits_for_nothing_while_clips_are_extracted(kind, models, videos, device):
    frontend = make_frontend(kind, Settings(model=models[kind], dtype="bfloat16")).load()
    frontend.batch_size = 3
    list(many_clip_features(gather_jobs(videos[:1]), frontend))  # constants are sent once
    with device.counting() as waits:
        found = list(many_clip_features(gather_jobs(videos[:6]), frontend, n_workers=2))
    assert all(one.found for one in found)
    assert waits == {}


def test_memory_that_runs_out_halves_the_batch_and_costs_no_clip(bundle, videos, device, capsys, monkeypatch):
    monkeypatch.setattr("slt.core.device._TOLD", set())
    frontend = make_frontend(None, Settings(model=str(bundle))).load()
    opener = partial(frontend.open, gather_jobs(videos[11:])[0])
    before = device.memory_allocated()
    device.reset_peak_memory_stats()
    expected = clip_features(opener, frontend)
    needed = device.max_memory_allocated() - before
    with device.memory_limit(int(0.7 * needed)):
        found = clip_features(opener, frontend)
    assert frontend.batch_size < len(found.windows)
    assert capsys.readouterr().err.count("memory ran out: going on with at most") == 1
    torch.testing.assert_close(found.readings[0][0], expected.readings[0][0], rtol=0, atol=1e-5)


def test_the_batch_is_chosen_by_free_memory(bundle, device):
    frontend = make_frontend(None, Settings(model=str(bundle), dtype="bfloat16")).load()
    with device.memory_limit(10 * 75 * 16 * 32 * 32 * 3):
        assert frontend.batch_size == 14
