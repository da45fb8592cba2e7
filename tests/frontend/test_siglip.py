from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import (
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEImageProcessor,
)

from slt.core.errors import UserError
from slt.data.features.store import FeatureStore
from slt.extract.jobs import gather_jobs
from slt.extract.run import extract
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.models import cpu_kernels
from slt.models.pictures import Pictures
from slt.video.decode import open_video
from slt.video.windows import WindowGeometry, plan_windows

VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(0)
    SiglipVisionModel(SiglipVisionConfig(**VISION)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def timesformer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timesformer")
    torch.manual_seed(0)
    TimesformerForVideoClassification(TimesformerConfig(num_frames=4, **VISION)).save_pretrained(folder)
    VideoMAEImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}, image_mean=[0.45] * 3, image_std=[0.225] * 3
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "processor",
    [
        SiglipImageProcessor(size={"height": 32, "width": 32}),
        SiglipImageProcessor(size={"height": 32, "width": 32}, do_normalize=False),
        SiglipImageProcessor(size={"height": 32, "width": 32}, do_rescale=False, image_mean=[127.5] * 3),
        VideoMAEImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}),
        VideoMAEImageProcessor(size={"shortest_edge": 33}, do_center_crop=False, image_std=[0.2, 0.3, 0.4]),
    ],
)
@pytest.mark.parametrize("size", [(48, 48), (90, 61), (61, 90)])
def test_pictures_are_those_of_transformers_own_processor(processor, size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    pictures = Pictures.of(processor)
    ours = pictures.normalise(torch.from_numpy(pictures.fit(frame).copy())).numpy()
    theirs = np.asarray(processor([frame], return_tensors="np")["pixel_values"]).reshape(ours.shape)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_siglip_embeds_every_second_frame_as_transformers_does(siglip, videos, tmp_path):
    extractor = load_frontend("siglip", Settings(model=str(siglip), device="cpu"))
    extract(gather_jobs(videos[3:6]), extractor, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    model = SiglipVisionModel.from_pretrained(siglip, local_files_only=True).eval()
    processor = SiglipImageProcessor.from_pretrained(siglip, local_files_only=True)
    for video in videos[3:6]:
        frames = list(open_video(video).frames())[::2]
        with torch.no_grad():
            expected = model(**processor(frames, return_tensors="pt")).pooler_output.numpy()
        np.testing.assert_allclose(store[video.stem], expected, atol=2e-3)
    assert store.header.geometry == {"target_fps": 25.0, "sampling_rate": 2, "detector": "none"}
    assert store.header.feature_dim == 16


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("is_native_dtype", [True, False])
def test_a_bundles_siglip_computes_in_half_precision(
    both_bundle, videos, tmp_path, monkeypatch, dtype, is_native_dtype
):
    whole = load_frontend("siglip", Settings(model=str(both_bundle), device="cpu"))
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: is_native_dtype or asked == torch.float32)
    half = load_frontend("siglip", Settings(model=str(both_bundle), device="cpu", dtype=dtype))
    for name, extractor in (("whole", whole), ("half", half)):
        assert not extract(gather_jobs(videos[:1]), extractor, tmp_path / name).failures
    exact, rounded = (FeatureStore.open(tmp_path / name)["v0"] for name in ("whole", "half"))
    assert 0 < np.abs(rounded.astype(float) - exact).max() < 0.05
    assert next(half._model.parameters()).dtype == (getattr(torch, dtype) if is_native_dtype else torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_bundles_siglip_computes_on_a_gpu(both_bundle, videos, tmp_path):
    for device in ("cpu", "cuda"):
        extractor = load_frontend("siglip", Settings(model=str(both_bundle), device=device))
        assert not extract(gather_jobs(videos[:1]), extractor, tmp_path / device).failures
    there, here = (FeatureStore.open(tmp_path / device)["v0"] for device in ("cuda", "cpu"))
    np.testing.assert_allclose(there, here, atol=5e-3)


def test_the_image_half_of_a_whole_siglip_is_found(tmp_path, videos):
    SiglipModel(SiglipConfig(text_config={**VISION, "vocab_size": 9}, vision_config=VISION)).save_pretrained(tmp_path)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    assert load_frontend("siglip", Settings(model=str(tmp_path), device="cpu")).headers[0].feature_dim == 16


def test_timesformer_embeds_windows_as_transformers_does(timesformer, videos, tmp_path):
    extractor = load_frontend("timesformer", Settings(model=str(timesformer), device="cpu"))
    extract(gather_jobs(videos[-2:]), extractor, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    assert store.header.geometry["sampling_rate"] == 8
    geometry = WindowGeometry(num_frames=4, sampling_rate=8, stride_frames=2)
    model = TimesformerForVideoClassification.from_pretrained(timesformer, local_files_only=True).timesformer.eval()
    processor = VideoMAEImageProcessor.from_pretrained(timesformer, local_files_only=True)
    for video in videos[-2:]:
        frames = list(open_video(video).frames())
        windows = plan_windows(len(frames), 25, geometry)
        assert store.length(video.stem) == len(windows) > 1
        for row, window in zip(store[video.stem], windows, strict=True):
            pixels = processor([frames[i] for i in window.indices], return_tensors="pt")
            with torch.no_grad():
                expected = model(**pixels).last_hidden_state[0, 0].numpy()
            np.testing.assert_allclose(row, expected, atol=5e-3)


def test_with_a_detector_the_crop_is_embedded(siglip, videos, tmp_path):
    plain, cropped = (
        load_frontend("siglip", Settings(model=str(siglip), device="cpu", detector=name)) for name in (None, "dlib-hog")
    )
    extract(gather_jobs(videos[:1]), plain, tmp_path / "plain")
    report = extract(gather_jobs(videos[:1]), cropped, tmp_path / "cropped")
    assert any("no face was found" in note for note in report.notes)
    rows = [FeatureStore.open(tmp_path / name)["v0"] for name in ("plain", "cropped")]
    assert np.abs(rows[0] - rows[1]).max() > 0.01


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("siglip", None, "--extractor siglip needs --model"),
        (
            "siglip",
            lambda folder: (folder / "config.json").unlink(),
            "model: config.json, preprocessor_config",
        ),
        ("siglip", lambda folder: (folder / "config.json").write_text("{"), "model: preprocessor_config.json, model"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, kind, change, said):
    (tmp_path / "config.json").touch()
    if change:
        change(tmp_path)
    with pytest.raises(UserError, match=said):
        load_frontend(kind, Settings(model=str(tmp_path) if change else None))


@pytest.mark.parametrize(
    ("content", "said"), [("{", "is not JSON"), (json.dumps({"model_type": "bert"}), "a model of type 'bert', exp")]
)
def test_another_model_is_refused(timesformer, tmp_path, content, said):
    for path in timesformer.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=said):
        load_frontend("timesformer", Settings(model=str(tmp_path)))


def test_unknown_kinds_and_detectors_are_refused(siglip):
    with pytest.raises(
        UserError, match="unknown extractor 'siglib'; known: signhiera, keypoints, wholebody, siglip, timesformer"
    ):
        load_frontend("siglib", Settings())
    with pytest.raises(UserError, match="unknown face detector 'x'"):
        load_frontend("siglip", Settings(model=str(siglip), detector="x"))
