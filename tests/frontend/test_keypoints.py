from dataclasses import replace

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.features.store import FeatureStore
from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_corpus
from slt.data.synthetic.joints import joints
from slt.extract.jobs import gather_jobs
from slt.extract.run import extract
from slt.frontend.base import POSE_BESIDE, Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend
from slt.video.keypoints import PoseFile, find_keypoints, read_pose, write_pose
from slt.video.span import open_span
from tests.keypoint_layouts import figure, write_npy
from tests.video.films import write_film


def test_pose_files_are_features(tmp_path):
    rows = np.random.default_rng(0).random((50, 75, 3), dtype=np.float32)
    rows[10:20, 33:] = np.nan
    write_pose(tmp_path / "a.pose", PoseFile(keypoints=rows, fps=25, height=200, width=100))
    write_pose(tmp_path / "nobody.pose", PoseFile(keypoints=np.full_like(rows, np.nan), fps=25, height=9, width=9))
    jobs = gather_jobs([tmp_path / "a.pose", tmp_path / "nobody.pose"])
    jobs += [ClipSource(id="part", path=tmp_path / "a.pose", start_s=0.4, end_s=1.0)]
    report = extract(jobs, load_frontend("keypoints", Settings()), tmp_path / "s")
    ((failed, error),) = report.failures
    assert failed == "nobody"
    assert "no person detected in any frame" in error.message
    store = FeatureStore.open(tmp_path / "s")
    assert (store.header.dtype, store.header.feature_dim) == ("float32", 225)
    np.testing.assert_allclose(store["a"], rows.reshape(50, 225), atol=1e-6)
    np.testing.assert_allclose(store["part"], rows.reshape(50, 225)[10:25], atol=1e-6)


def test_the_joints_of_a_drawn_corpus_are_read_where_its_manifest_says(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", {"val": 2}, 1, with_joints=True)["val"]
    jobs = gather_jobs([manifest])
    report = extract(jobs, load_frontend("keypoints", Settings()), tmp_path / "s")
    assert not report.failures
    store = FeatureStore.open(tmp_path / "s")
    for job, clip in zip(jobs, plan_corpus({"val": 2}, 1), strict=True):
        _, performance, signer = draw_clip(clip)
        expected = joints(performance, signer).reshape(-1, 225)
        np.testing.assert_allclose(store[job.id], expected, atol=1e-6)


def test_a_stale_pose_file_is_refused_as_when_translating(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", {"val": 2}, 1, with_joints=True)["val"]
    named = gather_jobs([manifest])
    fresh, stale = (read_pose(job.pose) for job in named)
    write_pose(named[1].pose, replace(stale, keypoints=stale.keypoints[: len(stale.keypoints) // 2]))
    beside = gather_jobs([job.path for job in named])
    for name, jobs, notes in (("named", named, {}), ("beside", beside, {POSE_BESIDE: 1})):
        report = extract(jobs, load_frontend("keypoints", Settings()), tmp_path / name)
        ((failed, error),) = report.failures
        assert failed == named[1].id
        assert f"{named[1].pose} has keypoints for" in error.message
        assert report.notes == notes
    named[0].path.unlink()
    extract(named[:1], load_frontend("keypoints", Settings()), tmp_path / "gone")
    expected = fresh.keypoints.reshape(-1, 225)
    np.testing.assert_array_equal(FeatureStore.open(tmp_path / "gone")[named[0].id], expected)


def test_the_joints_in_a_video_are_features(tmp_path):
    from slt.assets.store import demo_folder

    video = next(iter(sorted((demo_folder().parent / "clips" / "videos" / "test").iterdir())))
    jobs = [ClipSource(id=name, path=video, end_s=0.4) for name in ("a", "b")]
    report = extract(jobs, load_frontend("keypoints", Settings()), tmp_path / "s")
    expected = find_keypoints(open_span(video, None, 0.4).frames())
    assert np.isfinite(expected).any()
    assert not report.failures
    store = FeatureStore.open(tmp_path / "s")
    for id in ("a", "b"):
        np.testing.assert_array_equal(store[id], expected.reshape(10, 225))


def test_what_keypoints_have_no_use_for_is_refused():
    with pytest.raises(UserError, match="keypoints: MediaPipe Holistic finds the signer itself; found --detector auto"):
        load_frontend("keypoints", Settings(detector="auto"))


def test_a_bundle_that_reads_keypoints_may_be_named(keypoint_bundle):
    assert load_frontend(None, Settings(model=str(keypoint_bundle))).headers[0].extractor == "keypoints"
    with pytest.raises(UserError, match="reads keypoints, for which MediaPipe Holistic finds the signer itself"):
        load_frontend(None, Settings(model=str(keypoint_bundle), detector="mediapipe"))
    with pytest.raises(UserError, match="the model demo reads signhiera, not keypoints"):
        load_frontend("keypoints", Settings(model="demo"))


def test_no_features_are_those_of_a_bundle_with_two_streams(both_bundle):
    with pytest.raises(UserError, match="has two streams of features, keypoints and siglip; a store holds one"):
        load_frontend(None, Settings(model=str(both_bundle)))


def test_a_video_without_a_file_has_no_keypoints_of_another_skeleton(tmp_path):
    jobs = [ClipSource(id="a", path=tmp_path / "a.mp4")]
    report = extract(jobs, load_frontend("keypoints", Settings(skeleton="openpose-137")), tmp_path / "s")
    ((_, error),) = report.failures
    assert error.message == "no keypoints of a: expected a file of openpose-137, which slt cannot detect"


def test_skeletons_by_name(keypoint_bundle):
    with pytest.raises(UserError, match="unknown skeleton 'openpose'"):
        load_frontend("keypoints", Settings(skeleton="openpose"))
    with pytest.raises(UserError, match=r"reads mediapipe-75, not openpose-137"):
        load_frontend("keypoints", Settings(model=str(keypoint_bundle), skeleton="openpose-137"))
    frontend = load_frontend("keypoints", Settings(skeleton="mediapipe-543"))
    assert (frontend.skeleton, frontend.card.config) == ("mediapipe-75", {})
    assert frontend.headers[0].geometry == {
        "model": "mediapipe-holistic-1",
        "detector": "mediapipe",
        "skeleton": "mediapipe-75",
        "unit": "normalised",
        "target_fps": 25.0,
    }


def test_y_is_in_widths_of_the_video_where_the_file_does_not_say_them(tmp_path):
    joints = figure(20)
    path, film = write_npy(tmp_path, "a", joints), write_film(tmp_path / "film.mp4", n=20, size=(36, 64))
    frontend = load_frontend("keypoints", Settings(model="fingerspelling"))
    for source, height, n_warnings in (
        (ClipSource(id="a", path=film, pose=path), 36 / 64, 0),
        (ClipSource(id="alone", path=path), 1, 1),
    ):
        clip = frontend.open(source)
        rows = np.concatenate([one.content for one in frontend.inputs(clip)]).reshape(-1, 75, 3)
        np.testing.assert_allclose(rows, joints * [1, height, 1], rtol=1e-5)
        assert sum("taken for those of a square picture" in one for one in clip.video.warnings) == n_warnings
    shares = load_frontend("keypoints", Settings()).open(ClipSource(id="alone", path=path))
    assert not any("square" in one for one in shares.video.warnings)
