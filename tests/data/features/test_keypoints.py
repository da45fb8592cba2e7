"""Keypoint files of many clips become one store, whose header says what they are; mixtures are refused."""

from __future__ import annotations

import numpy as np
import pytest
from pose_format.utils.openpose import OpenPose_Components

from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.data.features.keypoints import ConvertedKeypoints, KeypointFolder, Reading
from slt.data.features.store import FeatureStore
from slt.data.features.transfer import import_all
from slt.data.features.writer import FeatureWriter
from slt.video.keypoints import PoseFile, write_pose
from slt.video.skeletons import MEDIAPIPE_75, OPENPOSE_137, convert
from tests.keypoint_layouts import HEIGHT, WIDTH, WRITERS, expected, figure, write_components, write_npy, write_openpose


def nothing(done: int, total: int) -> None:
    """Tell nobody."""


def test_files_of_folders_in_folders_are_clips(tmp_path):
    for number in range(3):
        write_openpose(tmp_path / "in" / "json", f"-c_{number}-8-rgb_front", figure(5, number))
    (tmp_path / "in" / "json" / "notes.txt").touch()
    folder = KeypointFolder(tmp_path / "in", Reading(layout="openpose", size=(WIDTH, HEIGHT), fps=24))
    assert folder.ids == tuple(f"-c_{number}-8-rgb_front" for number in range(3))
    assert folder.header.geometry == {
        "detector": "openpose", "skeleton": "openpose-137", "unit": "normalised", "target_fps": 25.0,
    }  # fmt: skip
    assert (folder.header.feature_dim, folder.header.extractor, folder.length(folder.ids[0])) == (411, "keypoints", 5)
    assert folder.ids[0] in folder
    assert "x" not in folder


def test_a_rate_outside_the_usual_is_brought_to_it(tmp_path):
    write_npy(tmp_path, "a", figure(50))
    slow = KeypointFolder(tmp_path, Reading(layout="mediapipe-75", fps=50))
    np.testing.assert_array_equal(slow["a"], np.nan_to_num(figure(50)[1::2].reshape(25, 225), nan=np.nan))
    assert len(KeypointFolder(tmp_path, Reading(layout="mediapipe-75", fps=30.02))["a"]) == 50
    assert len(KeypointFolder(tmp_path, Reading(layout="mediapipe-75"))["a"]) == 50
    (tmp_path / "pose").mkdir()
    write_pose(tmp_path / "pose" / "a.pose", PoseFile(keypoints=figure(50), fps=50, height=9, width=9))
    assert len(KeypointFolder(tmp_path / "pose", Reading(layout="pose"))["a"]) == 25


def test_import_is_resumed_and_names_what_it_cannot_take(tmp_path):
    for name, number in (("b", 0), ("d", 1), ("e", 2)):
        WRITERS["mediapipe-75"](tmp_path / "in", name, figure(5, number))
    write_npy(tmp_path / "in", "c", np.zeros((5, 225), np.float32))
    np.save(tmp_path / "in" / "a broken.npy", np.zeros((5, 768), np.float32))
    reading = Reading(layout="mediapipe-75")
    for _ in range(2):
        folder = KeypointFolder(tmp_path / "in", reading)
        failures = dict(import_all(folder, tmp_path / "s", nothing))
        assert sorted(failures) == ["a broken", "c"]
        assert "nobody is seen in any frame" in failures["c"].message
        assert "holds float32 of shape (5, 768)" in failures["a broken"].message
    store = FeatureStore.open(tmp_path / "s")
    assert sorted(store.ids) == ["b", "d", "e"]
    np.testing.assert_array_equal(store["e"], figure(5, 2).reshape(5, 225))


def test_skeletons_are_not_mixed_in_a_store(tmp_path):
    WRITERS["pose"](tmp_path / "in", "a", figure(5))
    write_components(tmp_path / "in" / "b.pose", OpenPose_Components)
    folder = KeypointFolder(tmp_path / "in", Reading(layout="pose"))
    with pytest.raises(UserError, match=r"b\.pose holds openpose-137 by openpose \(normalised\), others mediapipe-75"):
        folder["b"]
    together = KeypointFolder(tmp_path / "in", Reading(layout="pose", to="mediapipe-75"))
    with pytest.raises(UserError, match=r"b\.pose holds mediapipe-75 by openpose \(normalised\), others mediapipe-75"):
        together["b"]
    import_all(KeypointFolder(tmp_path / "in", Reading(layout="pose")), tmp_path / "s", nothing)
    write_openpose(tmp_path / "json", "c", figure(3))
    reading = Reading(layout="openpose", to="mediapipe-75", size=(WIDTH, HEIGHT))
    with pytest.raises(UserError, match="holds features of another kind"):
        import_all(KeypointFolder(tmp_path / "json", reading), tmp_path / "s", nothing)


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(layout="openpos"), "unknown layout 'openpos'"),
        (Reading(layout="mediapipe-75", to="coco"), "unknown skeleton 'coco'"),
        (Reading(layout="pose"), "holds no keypoints of that layout, expected .pose files"),
        (Reading(layout="openpose"), "holds no keypoints of that layout, expected a folder per clip"),
    ],
)
def test_what_is_not_there(tmp_path, reading, said):
    write_npy(tmp_path / "in", "a", figure(3))
    with pytest.raises(UserError, match=said):
        KeypointFolder(tmp_path / "in", reading)
    with pytest.raises(UserError, match=r"no such folder|unknown"):
        KeypointFolder(tmp_path / "absent", reading)


def test_names_that_cannot_be_ids_or_are_there_twice(tmp_path):
    write_npy(tmp_path / "x", "a", figure(3))
    write_npy(tmp_path / "y", "a", figure(3))
    with pytest.raises(UserError, match="two files hold the keypoints of a"):
        KeypointFolder(tmp_path, Reading(layout="mediapipe-75"))
    write_npy(tmp_path / "z", "a\n", figure(3))
    with pytest.raises(UserError, match=r"would name a clip 'a.n', expected a name"):
        KeypointFolder(tmp_path / "z", Reading(layout="mediapipe-75"))


def test_pixels_need_the_size_of_the_picture_to_be_converted(tmp_path):
    write_openpose(tmp_path, "a", figure(3))
    with pytest.raises(UserError, match="holds pixels, and does not say how large the picture is"):
        KeypointFolder(tmp_path, Reading(layout="openpose", to="mediapipe-75"))


def test_people_and_gaps_are_counted_over_clips(tmp_path):
    for name in ("a", "b"):
        folder = write_openpose(tmp_path, name, figure(5))
        (folder / f"{name}_000000000002_keypoints.json").unlink()
    folder = KeypointFolder(tmp_path, Reading(layout="openpose"))
    import_all(folder, tmp_path / "s", nothing)
    assert folder.warnings == {"some frames have no file: nothing is seen in them": 2}


def test_a_store_is_converted(tmp_path):
    write_openpose(tmp_path / "json", "a", figure(4))
    import_all(
        KeypointFolder(tmp_path / "json", Reading(layout="openpose", size=(WIDTH, HEIGHT))), tmp_path / "s", nothing
    )
    converted = ConvertedKeypoints(FeatureStore.open(tmp_path / "s"), "mediapipe-75")
    assert converted.header.geometry == {
        "detector": "openpose", "skeleton": "mediapipe-75", "unit": "normalised",
    }  # fmt: skip
    assert (list(converted), len(converted), converted.length("a")) == (["a"], 1, 4)
    assert "a" in converted
    np.testing.assert_allclose(converted["a"], expected("openpose", figure(4)).reshape(4, 225), atol=1e-6)
    again = ConvertedKeypoints(converted, "openpose-137")
    assert again.header.geometry["detector"] == "openpose"
    own = convert(figure(4), MEDIAPIPE_75, OPENPOSE_137)
    seen = np.isfinite(own)
    np.testing.assert_allclose(again["a"].reshape(4, 137, 3)[seen], own[seen], atol=1e-6)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"extractor": "siglip"}, "are siglip of the skeleton None, expected keypoints"),
        ({"extractor": None}, "are an unknown kind of the skeleton None"),
        (
            {"extractor": "keypoints", "geometry": {"skeleton": "openpose-137"}},
            "skeleton openpose-137, expected",
        ),
        ({"extractor": "keypoints", "geometry": {"skeleton": "mediapipe-75", "unit": "pixels"}}, "in pixels"),
        ({"extractor": "wholebody"}, "are wholebody of the skeleton coco-wholebody-133, expected keypoints"),
    ],
)
def test_what_cannot_be_converted(tmp_path, header, said):
    with FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=225, dtype="float32", **header)) as writer:
        writer.add("a", np.zeros((2, 225), np.float32))
    with pytest.raises(UserError, match=said):
        ConvertedKeypoints(FeatureStore.open(tmp_path / "s"), "openpose-137")


def test_whole_body_points_are_those_of_the_extractor_of_that_name(tmp_path):
    WRITERS["uni-sign"](tmp_path / "in", "a", figure(4))
    folder = KeypointFolder(tmp_path / "in", Reading(layout="uni-sign"))
    assert (folder.header.extractor, folder.header.feature_dim) == ("wholebody", 399)
    import_all(folder, tmp_path / "s", nothing)
    back = ConvertedKeypoints(FeatureStore.open(tmp_path / "s"), "mediapipe-75")
    assert (back.header.extractor, back.header.geometry["detector"]) == ("keypoints", "coco-wholebody")
    np.testing.assert_allclose(back["a"], expected("uni-sign", figure(4)).reshape(4, 225), atol=1e-6)
    made = StoreHeader(feature_dim=399, dtype="float32", extractor="wholebody", geometry={"model": "rtmw-l-m-256x192"})
    with FeatureWriter(tmp_path / "extracted", made) as writer:
        writer.add("a", folder["a"])
    again = ConvertedKeypoints(FeatureStore.open(tmp_path / "extracted"), "mediapipe-75")
    np.testing.assert_array_equal(again["a"], back["a"])
