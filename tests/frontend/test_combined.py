# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Translating by keypoints, by SigLIP and by both: the features are those that `extract-features` stores."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from slt.bundle.load import load_bundle
from slt.core.errors import UserError
from slt.data.features.store import FeatureStore
from slt.data.manifest import read_manifest
from slt.extract.jobs import gather_jobs
from slt.extract.run import extract
from slt.frontend.base import POSE_BESIDE, Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend, make_frontend
from slt.models import cpu_kernels
from slt.pipeline.segment import NO_PERSON, encode
from slt.pipeline.translator import Translator
from slt.video.boxes import Box
from slt.video.keypoints import read_pose, write_pose
from tests.bundles import EMBEDDING_DIM, bundle, clip, write_clip
from tests.frame_bundles import (
    VISUAL_DIM,
    both_bundle,
    drawn,
    keypoint_bundle,
    siglip_bundle,
    siglip_folder,
)

BOTH = ("keypoints", "siglip")


@pytest.fixture
def first(drawn):
    """The video of a drawn clip, and its `.pose` file."""
    manifest = read_manifest(drawn)
    return manifest.video_path(manifest.clips[0]), manifest.pose_path(manifest.clips[0])


@pytest.fixture
def alone(first, tmp_path):
    """The same video where no ``.pose`` file lies beside it."""
    return shutil.copyfile(first[0], tmp_path / "alone.mp4")


def stored(jobs, kind, model, folder):
    """What `extract-features` makes of one clip."""
    extractor = load_frontend(kind, Settings(model=model and str(model), device="cpu"))
    report = extract(jobs, extractor, folder)
    assert not report.failures
    return FeatureStore.open(folder)[jobs[0].id]


@pytest.mark.slow
def test_joints_in_a_pose_file_are_translated_as_they_are_stored(keypoint_bundle, drawn, first, tmp_path):
    _, pose = first
    seen = Translator(keypoint_bundle, device="cpu").translate(pose)
    expected = stored(gather_jobs([drawn])[:1], "keypoints", None, tmp_path / "s")
    np.testing.assert_array_equal(seen.features.numpy(), expected)
    assert np.isnan(expected).any()
    assert (seen.n_frames, seen.fps, list(seen.windows), seen.visual) == (len(expected), 25.0, [], None)
    assert seen.end_s == pytest.approx(len(expected) / 25)
    assert seen.signer.method == "whole picture"
    assert NO_PERSON not in seen.warnings
    assert seen.embedding.shape == (EMBEDDING_DIM,)
    loaded = load_bundle(keypoint_bundle, device="cpu")
    encoded = encode(loaded.encoder, torch.from_numpy(np.array(expected)))
    torch.testing.assert_close(seen.embedding, encoded.sentence[0], rtol=0, atol=0)


@pytest.mark.slow
def test_joints_in_a_video_are_translated_as_they_are_stored(keypoint_bundle, alone, tmp_path):
    seen = Translator(keypoint_bundle, device="cpu").translate(alone, start_s=0.4, end_s=0.8)
    expected = stored([ClipSource(id="a", path=alone, start_s=0.4, end_s=0.8)], None, keypoint_bundle, tmp_path / "s")
    assert expected.shape == (10, 225)
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(seen.features.numpy(), expected)
    assert (seen.start_s, seen.end_s, seen.n_frames) == (0.4, 0.8, 10)
    assert POSE_BESIDE not in seen.warnings


@pytest.mark.slow
def test_joints_beside_a_video_are_taken_and_that_is_said(keypoint_bundle, both_bundle, first, tmp_path):
    video, pose = first
    expected = stored(gather_jobs([video]), None, keypoint_bundle, tmp_path / "s")
    for path in (keypoint_bundle, both_bundle):
        translator = Translator(path, device="cpu")
        seen = translator.translate(video)
        np.testing.assert_array_equal(seen.features.numpy(), expected)
        assert seen.warnings[0] == POSE_BESIDE
        assert POSE_BESIDE not in translator.translate(video, pose=pose).warnings
    (sentence,) = Translator(keypoint_bundle, device="cpu").segments(video)
    first_row = round(sentence.start_s * 25)
    np.testing.assert_array_equal(sentence.features.numpy(), expected[first_row : first_row + sentence.n_frames])
    assert POSE_BESIDE in sentence.warnings


def test_joints_of_a_video_that_is_gone_are_enough_for_keypoints(keypoint_bundle, both_bundle, first, tmp_path):
    translator = Translator(keypoint_bundle, device="cpu")
    gone = translator.translate(tmp_path / "gone.mp4", pose=first[1])
    torch.testing.assert_close(gone.embedding, translator.translate(first[1]).embedding, rtol=0, atol=0)
    with pytest.raises(UserError, match=r"gone\.mp4"):
        Translator(both_bundle, device="cpu").translate(tmp_path / "gone.mp4", pose=first[1])


def test_models_without_keypoints_leave_a_pose_file_alone(siglip_bundle, alone):
    alone.with_suffix(".pose").write_bytes(b"broken")
    assert POSE_BESIDE not in Translator(siglip_bundle, device="cpu").translate(alone).warnings


@pytest.mark.slow
@pytest.mark.parametrize("detector", [None, "dlib-hog"])
def test_pictures_are_translated_as_they_are_stored(siglip_bundle, siglip_folder, clip, detector, tmp_path):
    seen = Translator(siglip_bundle, device="cpu", detector=detector).translate(clip)
    for number, model in enumerate((siglip_bundle, siglip_folder)):
        settings = Settings(model=str(model), device="cpu", detector=detector)
        extractor = load_frontend("siglip", settings)
        extract([ClipSource(id="a", path=clip)], extractor, tmp_path / str(number))
        expected = FeatureStore.open(tmp_path / str(number))["a"]
        assert expected.shape == (20, VISUAL_DIM)
        np.testing.assert_array_equal(seen.features.numpy().astype(np.float16), expected)
        assert extractor.headers[0].geometry["detector"] == (detector or "none")
    assert (seen.n_frames, list(seen.windows)) == (40, [])
    assert seen.signer.method == ("centre" if detector else "whole picture")


def test_both_are_translated_as_they_are_stored(both_bundle, drawn, first, tmp_path):
    video, pose = first
    seen = Translator(both_bundle, device="cpu").translate(video, pose=pose)
    joints = stored(gather_jobs([drawn])[:1], "keypoints", both_bundle, tmp_path / "k")
    pictures = stored(gather_jobs([drawn])[:1], "siglip", both_bundle, tmp_path / "s")
    np.testing.assert_array_equal(seen.features.numpy(), joints)
    np.testing.assert_array_equal(seen.visual.numpy().astype(np.float16), pictures)
    assert len(pictures) == -(-len(joints) // 2)
    assert seen.n_frames == len(joints)
    assert seen.as_json()["visual_shape"] == list(pictures.shape)


@pytest.mark.slow
@pytest.mark.parametrize("fps", [30.0, 50.0, 15.0])
def test_joints_of_another_rate_are_translated_as_they_are_stored(both_bundle, first, alone, fps, tmp_path):
    found = read_pose(first[1])
    rows = (np.arange(int(len(found.keypoints) / 25 * fps)) * 25 / fps).astype(int)
    write_pose(alone.with_suffix(".pose"), replace(found, keypoints=found.keypoints[rows], fps=fps))
    joints, pictures = (stored(gather_jobs([alone]), kind, both_bundle, tmp_path / kind) for kind in BOTH)
    seen = Translator(both_bundle, device="cpu").translate(alone, rerank=True)
    np.testing.assert_array_equal(seen.features.numpy(), joints)
    np.testing.assert_array_equal(seen.visual.numpy().astype(np.float16), pictures)
    assert (len(joints) > len(found.keypoints)) == (fps == 30)
    assert (seen.fps, seen.n_frames, len(pictures)) == (25, len(found.keypoints), -(-len(found.keypoints) // 2))


def test_both_look_at_every_frame_once(both_bundle, alone):
    seen = Translator(both_bundle, device="cpu").translate(alone, end_s=0.4)
    assert seen.features.shape == (10, 225)
    assert torch.isfinite(seen.features).any()
    assert seen.visual.shape == (5, VISUAL_DIM)


def test_pictures_are_missing_beside_joints_alone(both_bundle, first):
    with pytest.raises(UserError, match="holds keypoints and no pictures"):
        Translator(both_bundle, device="cpu").translate(first[1])


@pytest.mark.slow
def test_sentences_of_frames_are_those_of_spans(siglip_bundle, bundle, drawn, first):
    translator = Translator(siglip_bundle, device="cpu")
    (sentence,) = translator.segments(first[0])
    again = translator.translate(first[0], start_s=sentence.start_s, end_s=sentence.end_s)
    torch.testing.assert_close(sentence.features, again.features, rtol=0, atol=0)
    assert (sentence.start_s, sentence.end_s, sentence.n_frames) == (again.start_s, again.end_s, again.n_frames)
    (windows,) = Translator(bundle, device="cpu").segments(first[0])
    assert (windows.start_s, windows.end_s) == (sentence.start_s, sentence.end_s)


def test_joints_alone_have_no_sentences_to_be_found(keypoint_bundle, first):
    with pytest.raises(UserError, match="holds keypoints and no pictures"):
        list(Translator(keypoint_bundle, device="cpu").segments(first[1]))


def test_several_readings_begin_a_step_later_each(keypoint_bundle, siglip_bundle, both_bundle, first):
    for path, video, lengths in ((keypoint_bundle, first[1], (0, 1, 2, 3)), (siglip_bundle, first[0], (0, 1, 2, 3))):
        found = Translator(path, device="cpu").translate(video, rerank=True)
        assert found.texts["eng_Latn"][0].agreement is not None
        frontend = load_frontend(None, Settings(model=str(path), device="cpu"))
        found = frontend.later_readings([(torch.rand(8, 3),)], 4, n_frames=8)
        assert [len(streams[0]) for streams in found] == [8 - late for late in lengths]
    frontend = make_frontend(None, Settings(model=str(both_bundle), device="cpu"))
    found = frontend.later_readings([(torch.rand(8, 225), torch.rand(4, VISUAL_DIM))], 4, n_frames=8)
    assert [tuple(map(len, streams)) for streams in found] == [(8, 4), (6, 3), (4, 2), (2, 1)]


def test_progress_counts_frames(siglip_bundle, clip):
    told = []
    Translator(siglip_bundle, device="cpu").translate(clip, progress=lambda *what: told.append(what))
    assert told == [("frames", 32, 40), ("frames", 40, 40)]


def test_a_detector_is_no_use_to_keypoints(keypoint_bundle):
    with pytest.raises(UserError, match="on-keypoints reads keypoints, for which MediaPipe Holistic finds the signer"):
        Translator(keypoint_bundle, device="cpu", detector="dlib-hog").load()


def test_windows_cannot_be_cut_from_joints(bundle, first):
    with pytest.raises(UserError, match=r"\.pose holds keypoints and no pictures"):
        Translator(bundle, device="cpu").translate(first[1])


def test_where_nobody_is_seen_a_warning_says_so(keypoint_bundle, tmp_path):
    video = write_clip(tmp_path / "noise.mp4", 3)
    seen = Translator(keypoint_bundle, device="cpu").translate(video)
    assert NO_PERSON in seen.warnings
    assert torch.isfinite(seen.embedding).all()


def test_half_precision_moves_no_joint(keypoint_bundle, first):
    half = Translator(keypoint_bundle, device="cpu", dtype="bfloat16").translate(first[1])
    whole = Translator(keypoint_bundle, device="cpu").translate(first[1])
    np.testing.assert_array_equal(half.features.numpy(), whole.features.numpy())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_pictures_in_half_precision_lose_little(siglip_bundle, alone, dtype, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: asked == torch.float32)
    half, whole = (
        Translator(siglip_bundle, device="cpu", dtype=name).translate(alone, end_s=0.4) for name in (dtype, "float32")
    )
    torch.testing.assert_close(half.features, whole.features, rtol=0, atol=0.05)
