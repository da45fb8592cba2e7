"""Whole-body points as features: detected with tiny ONNX models, or read from ``.pose`` files."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.data.features.store import FeatureStore
from slt.evaluate.model import BlankVideo
from slt.extract.jobs import gather_jobs
from slt.extract.run import extract
from slt.frontend.base import Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend
from slt.models.wholebody import PARTS, split
from slt.recipe.extractors import WholebodyExtractor
from slt.train.extractors import choose_extractor, extract_command
from slt.video.keypoints import PoseFile, write_pose
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, counterparts
from slt_cli.main import main
from tests.bundles import write_clip
from tests.onnx_models import write_models

N_FRAMES = 20


@pytest.fixture
def models(tmp_path):
    return write_models(tmp_path / "models")


def pose_file(path, joints):
    write_pose(path, PoseFile(keypoints=joints.astype(np.float32), fps=25, height=200, width=100))
    return path


def test_every_frame_of_a_video_has_its_points(tmp_path, models):
    jobs = [ClipSource(id=name, path=write_clip(tmp_path / "clip.mp4")) for name in ("a", "b")]
    frontend = load_frontend("wholebody", Settings(detector=f"rtmw={models}"))
    report = extract(jobs, frontend, tmp_path / "s")
    assert not report.failures
    store = FeatureStore.open(tmp_path / "s")
    assert (store.header.extractor, store.header.dtype, store.header.feature_dim) == ("wholebody", "float32", 399)
    geometry = {"model": "rtmw-l-m-256x192", "detector": "coco-wholebody", "skeleton": "coco-wholebody-133"}
    assert store.header.geometry == {**geometry, "unit": "normalised", "target_fps": 25.0}
    assert len(store.header.weights_sha256) == 64
    assert store["a"].shape[1] == 399
    np.testing.assert_array_equal(store["a"], store["b"])
    other = load_frontend("wholebody", Settings(detector=f"rtmw={write_models(tmp_path / 'other', n_points=17)}"))
    with pytest.raises(UserError, match="weights"):
        extract(jobs, other, tmp_path / "s")


def test_joints_of_a_pose_file_stand_for_points(tmp_path):
    rng = np.random.default_rng(0)
    joints = rng.random((N_FRAMES, 75, 3))
    joints[5:, 33:54] = np.nan  # the left hand
    jobs = gather_jobs([pose_file(tmp_path / "a.pose", joints)])
    extract(jobs, load_frontend("wholebody", Settings(detector="pose-file")), tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    assert store.header.geometry["model"] == "mediapipe-holistic-1"
    found = np.asarray(store["a"]).reshape(N_FRAMES, 133, 3)
    joint_of = counterparts(MEDIAPIPE_75, COCO_WHOLEBODY_133)
    same = {point: joint for point, joint in enumerate(joint_of) if joint is not None}
    assert set(PARTS["body"] + PARTS["left"] + PARTS["right"]) <= set(same)
    for point, joint in same.items():
        expected = joints[:, joint, :2]
        np.testing.assert_allclose(found[:, point, :2], expected, atol=1e-5)
        np.testing.assert_array_equal(found[:, point, 2] == 1, np.isfinite(expected).all(1))
    parts = split(torch.from_numpy(found.reshape(1, N_FRAMES, -1)), torch.ones(1, N_FRAMES, dtype=torch.bool))
    assert all(part.isfinite().all() for part in parts.values())
    assert not parts["face_all"].any()
    assert parts["left"][0, :5].any()
    assert not parts["left"][0, 5:].any()


def test_keypoint_files_with_a_face_are_taken_as_they_are(tmp_path):
    points = np.random.default_rng(0).random((N_FRAMES, 133, 3)).astype(np.float32)
    pose = PoseFile(keypoints=points, fps=25, height=200, width=100, skeleton=COCO_WHOLEBODY_133)
    write_pose(tmp_path / "a.pose", pose)
    frontend = load_frontend("wholebody", Settings(skeleton="coco-wholebody-133"))
    assert not extract(gather_jobs([tmp_path / "a.pose"]), frontend, tmp_path / "s").failures
    store = FeatureStore.open(tmp_path / "s")
    assert store.header.geometry["model"] == store.header.geometry["detector"] == "coco-wholebody"
    np.testing.assert_allclose(np.asarray(store["a"]).reshape(points.shape), points, atol=1e-6)
    recipe = WholebodyExtractor(kind="wholebody", detector="pose-file", skeleton="coco-wholebody-133")
    assert choose_extractor(recipe).streams == frontend.streams
    command = extract_command(frontend, frontend.streams[0], "m.tsv")
    assert command.endswith("--extractor wholebody --detector pose-file --skeleton coco-wholebody-133 --out DIR")
    with pytest.raises(UserError, match="holds joints of coco-wholebody-133, expected those of mediapipe-75"):
        load_frontend("wholebody", Settings(detector="pose-file")).open(ClipSource.of(tmp_path / "a.pose"))


def test_openposes_points_become_the_same_points(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    person = {"pose_keypoints_2d": [0.0] * 75, "face_keypoints_2d": [10.0, 20.0, 0.5] * 70}
    person |= {f"hand_{side}_keypoints_2d": [0.0] * 63 for side in ("left", "right")}
    video = write_clip(tmp_path / "clip.mp4", N_FRAMES)
    for number in range(N_FRAMES):
        (folder / f"a_{number:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
    frontend = load_frontend("wholebody", Settings(skeleton="openpose-137"))
    clip = frontend.open(ClipSource(id="a", path=video, pose=folder))
    rows = torch.cat([features for (features,) in frontend.features(list(frontend.inputs(clip)))])
    points = rows.reshape(-1, 133, 3)
    assert len(points) == N_FRAMES
    torch.testing.assert_close(points[0, 23:91], torch.tensor([10 / 48, 20 / 48, 0.5]).expand(68, 3))
    assert points[:, :23].isnan().all()


def test_uni_signs_pickles_are_whole_body_points(tmp_path):
    rng = np.random.default_rng(0)
    points, scores = rng.random((N_FRAMES, 1, 133, 2)), rng.random((N_FRAMES, 1, 133))
    points[:, :, [91, 112]] = points[:, :, [9, 10]]  # hands begin at the wrists
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "clip-1.pkl").write_bytes(pickle.dumps({"keypoints": list(points), "scores": list(scores)}))
    folder, out = str(tmp_path / "poses"), str(tmp_path / "s")
    assert main(["features", "import", folder, "--layout", "uni-sign", "--out", out]) == 0
    store = FeatureStore.open(tmp_path / "s")
    (stream,) = load_frontend("wholebody", Settings(detector=f"rtmw={write_models(tmp_path / 'models')}")).streams
    stream.check(store.header, where=tmp_path / "s", fix="", feature_dim=399)
    expected = np.concatenate([points[:, 0], scores[:, 0, :, None]], -1).reshape(N_FRAMES, 399)
    np.testing.assert_allclose(store["clip-1"], expected, atol=1e-6)
    (joints,) = load_frontend("wholebody", Settings(detector="pose-file")).streams
    with pytest.raises(UserError, match="detector"):
        joints.check(store.header, where=tmp_path / "s", fix="")


def test_clips_without_anybody_are_told(tmp_path, models):
    jobs = gather_jobs([pose_file(tmp_path / "nobody.pose", np.full((N_FRAMES, 75, 3), np.nan))])
    report = extract(jobs, load_frontend("wholebody", Settings(detector="pose-file")), tmp_path / "s")
    assert "no person detected in any frame" in report.failures[0][1].message


def test_what_whole_body_points_have_no_use_for_is_refused(tmp_path):
    with pytest.raises(UserError, match="whole-body points do not come from 'dlib-hog'"):
        load_frontend("wholebody", Settings(detector="dlib-hog"))
    with pytest.raises(UserError, match="whole-body points do not come from 'pose-file=a'"):
        load_frontend("wholebody", Settings(detector="pose-file=a"))
    with pytest.raises(UserError, match="the model demo reads signhiera, not whole-body points"):
        load_frontend("wholebody", Settings(model="demo"))
    with pytest.raises(UserError, match="unknown skeleton 'coco-133'"):
        load_frontend("wholebody", Settings(skeleton="coco-133"))
    with pytest.raises(UserError, match="--skeleton openpose-137 is of keypoint files, and points are looked for by"):
        load_frontend("wholebody", Settings(skeleton="openpose-137", detector="rtmw"))
    with pytest.raises(UserError, match="the models of whole-body points are not here"):
        load_frontend("wholebody", Settings())
    frontend = load_frontend("wholebody", Settings(detector="pose-file"))
    with pytest.raises(UserError, match=r"there is no \.pose file of .*clip\.mp4, and whole-body points are read"):
        frontend.open(ClipSource.of(write_clip(tmp_path / "clip.mp4")))


@pytest.mark.parametrize("source", ["rtmw", "pose-file"])
def test_no_face_is_looked_for_in_blank_videos_either(models, source):
    detector = f"rtmw={models}" if source == "rtmw" else source
    frontend = load_frontend("wholebody", Settings(detector=detector))
    clip = frontend.at_rate(BlankVideo(5, 25.0))
    assert clip.signer.method == "whole picture"
    rows = torch.cat([features for (features,) in frontend.features(list(frontend.inputs(clip)))])
    assert rows.shape == (5, 399)
    assert frontend.is_empty((rows,)) or source == "rtmw"
