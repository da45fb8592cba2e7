"""The worker's own code, in this process, with tiny models."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.manifest import read_manifest
from slt.pipeline.translator import Translator
from slt.serve import loaded as module
from slt.serve.catalogue import offered_models
from slt.serve.loaded import LoadedModels, weights_bytes
from slt.serve.worker import Cancelled, _answer, _check_duration, _joints_of
from slt.video.keypoints import PoseFile, write_pose
from tests.bundles import LANGUAGES, bundle, clip  # noqa: F401 - fixtures
from tests.frame_bundles import drawn, keypoint_bundle, siglip_folder  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow


class Never:
    """Nothing is cancelled."""

    def check(self, job: str) -> None:
        pass


class Always:
    def check(self, job: str) -> None:
        raise Cancelled


def answers(models: LoadedModels, path, requests=None, **changed):
    options = {"model": "tiny", "langs": ["eng_Latn"], "sentences": False, "nbest": 1, "rerank": False}
    request = {"do": "translate", "id": "1", "path": str(path), "name": "my.mp4", "max_duration_s": 60.0}
    sent: list[dict] = []
    options |= changed.pop("options", {})
    _answer({**request, "options": options, **changed}, models, requests or Never(), sent.append)
    return sent


def test_a_video_becomes_progress_sentences_and_an_end(bundle, clip):  # noqa: F811
    models = LoadedModels("cpu", "float32", 10**9)
    options = {"model": str(bundle), "langs": list(LANGUAGES), "nbest": 2}
    sent = answers(models, clip, options=options)
    assert [one["kind"] for one in sent if one["kind"] != "progress"] == ["sentence", "done"]
    (sentence,) = [one["sentence"] for one in sent if one["kind"] == "sentence"]
    assert set(sentence["texts"]) == set(LANGUAGES)
    assert "video" not in sentence
    assert models.names == [str(bundle)]
    (rated,) = [
        one["sentence"]["texts"]["eng_Latn"][0]
        for one in answers(models, clip, options=options | {"rerank": True})
        if one["kind"] == "sentence"
    ]
    assert "agreement" in rated


def test_failures_name_the_video_and_no_path(bundle, clip, tmp_path):  # noqa: F811
    models = LoadedModels("cpu", "float32", 10**9)
    text = tmp_path / "secret" / "video.mp4"
    text.parent.mkdir()
    text.write_text("x")
    options = {"model": str(bundle)}
    (*_, last) = answers(models, text, options=options)
    assert last["problem"]["code"] == "bad_video"
    assert last["problem"]["message"].startswith("my.mp4 is not a video")
    assert "secret" not in str(last)
    (*_, last) = answers(models, clip, options=options, max_duration_s=0.5)
    assert "this server takes at most 0 s" in last["problem"]["message"]
    (*_, last) = answers(models, clip, options={"model": "none"})
    assert "unknown model 'none'" in last["problem"]["message"]
    (*_, last) = answers(models, clip, Always(), options=options)
    assert last == {"kind": "cancelled", "id": "1"}


def test_models_beyond_the_budget_are_unloaded_the_least_used_first(bundle, tmp_path, monkeypatch):  # noqa: F811
    given_back = []
    monkeypatch.setattr(module, "_give_back_memory", lambda: given_back.append(True))
    names = []
    for number in range(3):
        names.append(str(shutil.copytree(bundle, tmp_path / f"m{number}")))
    size = weights_bytes(module.find_bundle(names[0]), "float32")
    assert weights_bytes(module.find_bundle(names[0]), "bfloat16") == size // 2
    models = LoadedModels("cpu", "float32", 2 * size)
    first, _ = models.get(names[0]), models.get(names[1])
    assert models.get(names[0]) is first
    models.get(names[2])
    assert models.names == [names[0], names[2]]
    assert len(given_back) == 1
    small = LoadedModels("cpu", "float32", 1)
    assert small.get(names[0]).load()
    with pytest.raises(UserError, match="unknown model"):
        small.get("none")
    assert small.names == [names[0]]
    (tmp_path / "m1" / "encoder.safetensors").write_bytes(b"x")
    with pytest.raises(UserError):
        small.get(names[1])
    assert small.names == [], "the room was made; the model that failed is not kept"
    monkeypatch.undo()
    module._give_back_memory()


def test_a_model_on_keypoints_leaves_the_joints_that_it_saw(keypoint_bundle, drawn, tmp_path):  # noqa: F811
    manifest = read_manifest(drawn)
    first = manifest.clips[0]
    shutil.copy(manifest.video_path(first), tmp_path / "video.mp4")
    shutil.copy(manifest.pose_path(first), tmp_path / "video.pose")
    sent = answers(
        LoadedModels("cpu", "float32", 10**9), tmp_path / "video.mp4", options={"model": str(keypoint_bundle)}
    )
    assert [one["kind"] for one in sent][-3:] == ["sentence", "joints", "done"]
    (joints,) = json.loads((tmp_path / "joints.json").read_text())
    assert (joints["start_s"], joints["fps"]) == (0.0, 25.0)
    seen = [point for frame in joints["frames"] for point in frame if point]
    assert len(joints["frames"][0]) == 75
    assert all(-1 < edge < 2 for point in seen for edge in point)


def test_no_sentence_waits_for_another(bundle, clip, monkeypatch):  # noqa: F811
    asked = []
    monkeypatch.setattr(Translator, "segments", lambda self, *_, **how: asked.append(how) or iter([]))
    sent = answers(LoadedModels("cpu", "float32", 10**9), clip, options={"model": str(bundle), "sentences": True})
    assert sent[-1]["kind"] == "done"
    assert [how["together"] for how in asked] == [False]


def test_joints_are_shares_of_the_picture_whatever_the_model_measures_them_in(tmp_path):
    keypoints = np.random.default_rng(0).random((30, 75, 3), dtype=np.float32)
    keypoints[3, 33:] = np.nan
    write_pose(tmp_path / "wide.pose", PoseFile(keypoints=keypoints, fps=25, height=300, width=400))
    translator = Translator("fingerspelling")
    found = _joints_of(translator.translate(tmp_path / "wide.pose"), translator.frontend)
    assert (found["start_s"], found["fps"]) == (0, 25)
    assert found["frames"][3][33:] == [None] * 42
    np.testing.assert_allclose(found["frames"][0], keypoints[0, :, :2], atol=1e-3)


def test_a_pose_file_alone_is_translated_by_a_model_on_keypoints(keypoint_bundle, drawn, tmp_path):  # noqa: F811
    manifest = read_manifest(drawn)
    path = shutil.copy(manifest.pose_path(manifest.clips[0]), tmp_path / "video.pose")
    models = LoadedModels("cpu", "float32", 10**9)
    sent = answers(models, path, options={"model": str(keypoint_bundle)})
    assert [one["kind"] for one in sent][-3:] == ["sentence", "joints", "done"]
    (failed,) = answers(models, path, options={"model": str(keypoint_bundle)}, max_duration_s=1.0)[-1:]
    assert failed["problem"]["message"].startswith("the video lasts ")


def pose_of(path, fps: float, n_frames: int = 30):
    keypoints = np.random.default_rng(0).random((n_frames, 75, 3), dtype=np.float32)
    write_pose(path, PoseFile(keypoints=keypoints, fps=fps, height=300, width=400))
    return path


def test_a_pose_file_is_as_long_as_its_frames_whatever_rate_it_claims(tmp_path):
    _check_duration(pose_of(tmp_path / "slow.pose", fps=25), 1.5)
    _check_duration(pose_of(tmp_path / "fast.pose", fps=1e6), 0.25)
    with pytest.raises(UserError, match=r"lasts 2 s at 120 frames per second \(the file says 1e\+06\), .* most 1 s"):
        _check_duration(pose_of(tmp_path / "long.pose", fps=1e6, n_frames=240), 1.0)


def test_what_is_wrong_with_a_pose_file_is_mended_in_a_browser(keypoint_bundle, tmp_path):  # noqa: F811
    models = LoadedModels("cpu", "float32", 10**9)
    how = {"name": "walk.pose", "options": {"model": str(keypoint_bundle)}}
    fix = "choose the video that it was made of, or another .pose file"
    other = pose_of(tmp_path / "other.pose", fps=25)
    other.write_bytes(other.read_bytes().replace(b"_LANDMARKS", b"_LANDMARKX"))
    problem = answers(models, other, **how)[-1]["problem"]
    assert problem["message"].startswith("walk.pose holds joints of pose:")
    assert (problem["code"], problem["fix"]) == ("bad_video", fix)
    damaged = tmp_path / "damaged.pose"
    damaged.write_bytes(b"x")
    problem = answers(models, damaged, **how)[-1]["problem"]
    assert problem["message"].startswith("walk.pose is not a .pose file that can be read")
    assert problem["fix"] == fix


def test_the_models_that_are_offered(bundle, monkeypatch):  # noqa: F811
    assert list(offered_models(())) == ["demo", "fingerspelling"]
    models = offered_models(("demo", str(bundle), "sonar-asl"))
    assert list(models) == ["demo", "tiny", "sonar-asl"]
    assert (models["tiny"].source, models["tiny"].can_rerank) == (str(bundle), True)
    assert len(models["sonar-asl"].languages) > 200
    with pytest.raises(UserError, match="unknown model 'dem'"):
        offered_models(("dem",))
    monkeypatch.setattr("slt.serve.catalogue.list_bundles", dict)
    with pytest.raises(UserError, match="no model is here"):
        offered_models(())
