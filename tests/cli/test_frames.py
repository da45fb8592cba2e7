# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""The commands with models that take single frames: keypoints, SigLIP, both."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from slt.data.features.store import FeatureStore
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.video.keypoints import read_pose, write_pose
from tests.frame_bundles import VISUAL_DIM, both_bundle, drawn, keypoint_bundle, siglip_bundle, siglip_folder

CPU = ("--device", "cpu")


@pytest.fixture
def first(drawn):
    """The video of a drawn clip, and its `.pose` file."""
    manifest = read_manifest(drawn)
    return manifest.video_path(manifest.clips[0]), manifest.pose_path(manifest.clips[0])


def test_a_pose_file_is_translated_and_so_is_a_span_of_it(slt, keypoint_bundle, first, tmp_path):
    words = ("translate", first[1], "--model", keypoint_bundle, "--json", "--save-features", tmp_path, *CPU)
    outcome = slt(*words)
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert (told["windows"], told["feature_shape"][1]) == ([], 225)
    assert np.load(tmp_path / f"{first[1].stem}.npy").shape == tuple(told["feature_shape"])
    spans = slt(*words, "--span", "0.4-0.8", "--span", "90-91")
    assert spans.code == 3
    assert "has no keypoints from 90 to 91 s" in spans.err
    assert json.loads(spans.out.splitlines()[0])["feature_shape"] == [10, 225]


def test_a_second_stream_overwrites_no_other_videos_features(slt, both_bundle, siglip_bundle, first, tmp_path):
    names = [tmp_path / "a.mp4", tmp_path / "a.visual.mp4"]
    for name in names:
        shutil.copyfile(first[0], name)
    out = ("--save-features", tmp_path / "out", *CPU)
    outcome = slt("translate", *names, "--model", both_bundle, *out)
    assert outcome.code == 2
    assert f"{names[0]} and {names[1]} would both be saved as a.visual.npy" in outcome.err
    outcome = slt("translate", *names, "--model", siglip_bundle, *out)
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npy", "a.visual.npy"]


def test_both_streams_are_saved(slt, both_bundle, first, tmp_path):
    words = ("translate", first[0], "--model", both_bundle, "--span", "0-0.2", "--save-features", tmp_path, *CPU)
    outcome = slt(*words)
    assert outcome.code == 0, outcome.err
    saved = {path.name: np.load(path).shape for path in tmp_path.glob("*.npy")}
    stem = f"{first[0].stem}.0.000-0.200"
    assert saved == {f"{stem}.npy": (5, 225), f"{stem}.visual.npy": (3, VISUAL_DIM)}


def test_a_detector_is_refused_before_anything_is_read(slt, keypoint_bundle, first):
    outcome = slt("translate", first[1], "--model", keypoint_bundle, "--detector", "mediapipe")
    assert outcome.code == 2
    assert "finds the signer itself" in outcome.err


def test_a_model_is_evaluated_by_the_joints_that_the_manifest_names(slt, keypoint_bundle, drawn, tmp_path):
    words = ("evaluate", "--model", keypoint_bundle, "--manifest", drawn, "--resamples", 100, *CPU)
    outcome = slt(*words, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    extracted = slt("extract-features", drawn, "--model", keypoint_bundle, "--out", tmp_path / "store")
    assert extracted.code == 0, extracted.err
    read = slt(*words, "--features", tmp_path / "store", "--out", tmp_path / "read")
    assert read.code == 0, read.err
    texts = [(tmp_path / folder / "translations.tsv").read_text("utf-8").splitlines() for folder in ("out", "read")]
    hypotheses = [[row.split("\t")[:3] for row in rows] for rows in texts]
    assert hypotheses[0] == hypotheses[1]
    assert len(hypotheses[0]) == 3


def test_a_video_whose_joints_are_of_another_one_is_named(slt, keypoint_bundle, first, drawn, tmp_path):
    manifest = read_manifest(drawn)
    video = shutil.copyfile(first[0], tmp_path / "a.mp4")
    joints = read_pose(first[1])
    write_pose(tmp_path / "a.pose", replace(joints, keypoints=joints.keypoints[:20]))
    good = manifest.video_path(manifest.clips[1])
    outcome = slt("translate", video, good, "--model", keypoint_bundle, *CPU)
    assert outcome.code == 3
    assert "a.pose has keypoints for 0.80 s" in outcome.err
    assert "keypoints were read from the .pose file beside the video" in outcome.err
    assert outcome.out.startswith(f"{good}\t")


def test_models_of_pictures_are_evaluated_whatever_the_joints(slt, siglip_bundle, drawn, tmp_path):
    manifest = read_manifest(drawn)
    clips = [
        replace(clip, video=str(manifest.video_path(clip)), extra={"pose": "broken.pose"}) for clip in manifest.clips
    ]
    (tmp_path / "broken.pose").write_bytes(b"broken")
    write_manifest(tmp_path / "m.tsv", clips)
    outcome = slt("evaluate", "--model", siglip_bundle, "--manifest", tmp_path / "m.tsv", "--resamples", 100, *CPU)
    assert outcome.code == 0, outcome.err


def test_joints_alone_can_be_evaluated(slt, keypoint_bundle, drawn, tmp_path):
    manifest = read_manifest(drawn)
    clips = [
        Clip(id=clip.id, video=None, text=clip.text, lang=clip.lang, extra={"pose": str(manifest.pose_path(clip))})
        for clip in manifest.clips
    ]
    write_manifest(tmp_path / "m.tsv", clips)
    outcome = slt("evaluate", "--model", keypoint_bundle, "--manifest", tmp_path / "m.tsv", "--resamples", 100, *CPU)
    assert outcome.code == 0, outcome.err


def test_a_model_of_two_streams_is_evaluated_by_videos_only(slt, both_bundle, siglip_bundle, drawn, tmp_path):
    extracted = slt("extract-features", drawn, "--model", siglip_bundle, "--out", tmp_path / "s", *CPU)
    assert extracted.code == 0, extracted.err
    assert FeatureStore.open(tmp_path / "s").header.extractor == "siglip"
    words = ("evaluate", "--manifest", drawn, "--features", tmp_path / "s", "--resamples", 100, *CPU)
    assert slt(*words, "--model", siglip_bundle).code == 0
    outcome = slt(*words, "--model", both_bundle)
    assert outcome.code == 2
    assert "expected two streams: the model on-both reads keypoints and siglip" in outcome.err
    outcome = slt("extract-features", drawn, "--model", both_bundle, "--out", tmp_path / "b")
    assert outcome.code == 2
    assert "run it twice: with --extractor keypoints" in outcome.err
