from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose

import slt.demo
from slt.core.errors import UserError
from slt.video.decode import open_video
from slt.video.keypoints import (
    LEFT_HAND,
    N_JOINTS,
    POSE,
    RIGHT_HAND,
    Holistic,
    PoseFile,
    find_keypoints,
    read_pose,
    write_pose,
)
from slt.video.pose_components import read_pose_components
from slt.video.skeletons import COCO_WHOLEBODY_133, FACE_68

CLIP = Path(slt.demo.__file__).parent / "clips" / "videos" / "test" / "test-000001.mp4"
GOLDEN = Path(__file__).parents[1] / "golden" / "keypoints" / "test-000001.npy"


@pytest.fixture(scope="module")
def frames():
    """The frames of a drawn clip that the golden tells of."""
    return list(islice(open_video(CLIP).frames(), 28))


@pytest.fixture(scope="module")
def keypoints(frames):
    return find_keypoints(frames)


def pose_file(n_frames: int = 3) -> PoseFile:
    keypoints = np.random.default_rng(0).random((n_frames, N_JOINTS, 3), dtype=np.float32)
    keypoints[0, LEFT_HAND] = np.nan
    keypoints[1:, POSE] = np.nan
    return PoseFile(keypoints=keypoints, fps=29.97, height=360, width=640)


def test_they_equal_those_of_mediapipes_solutions(keypoints):
    """The golden is ``mediapipe.solutions.holistic``'s on protobuf 4.25; processors may differ in the last digits."""
    expected = np.load(GOLDEN)
    assert (keypoints.shape, keypoints.dtype) == ((28, 75, 3), np.float32)
    np.testing.assert_array_equal(np.isnan(keypoints), np.isnan(expected))
    np.testing.assert_allclose(keypoints[..., :2], expected[..., :2], atol=2e-3)


def test_joints_lie_where_they_are_drawn(keypoints):
    nose, left_wrist, right_wrist = keypoints[20, [0, 15, 16], :2]
    np.testing.assert_allclose(nose, (0.54, 0.36), atol=0.04)
    np.testing.assert_allclose(left_wrist, (0.71, 0.94), atol=0.06)
    np.testing.assert_allclose(right_wrist, (0.19, 0.39), atol=0.06)


def test_a_hand_that_is_not_seen_is_no_number(keypoints):
    seen = np.isfinite(keypoints).all(axis=2)
    assert seen[:, POSE].all()
    assert not seen[:, LEFT_HAND].any()
    assert seen[23, RIGHT_HAND].all()
    assert not seen[20, RIGHT_HAND].any()


def test_after_a_restart_the_next_video_is_as_if_it_were_the_first(frames, keypoints):
    with Holistic() as holistic:
        holistic(frames[25])
        holistic.restart()
        np.testing.assert_array_equal(np.stack([holistic(frame) for frame in frames[:3]]), keypoints[:3])


def test_without_tracking_a_picture_does_not_depend_on_the_one_before(frames):
    with Holistic(tracking=False) as holistic:
        alone = holistic(frames[20])
        holistic(frames[0])
        np.testing.assert_array_equal(holistic(frames[20]), alone)


def test_where_nobody_is_nothing_is_seen():
    assert np.isnan(find_keypoints([np.full((90, 60, 3), 128, dtype=np.uint8)])).all()


def test_a_video_without_frames():
    assert find_keypoints([]).shape == (0, 75, 3)


def test_a_pose_file_comes_back_as_it_was(tmp_path):
    pose = pose_file()
    write_pose(tmp_path / "a.pose", pose)
    back = read_pose(tmp_path / "a.pose")
    np.testing.assert_allclose(back.keypoints, pose.keypoints, atol=1e-6)
    assert back.keypoints.dtype == np.float32
    assert (back.fps, back.height, back.width) == (pytest.approx(29.97), 360, 640)


def test_others_read_our_pose_files(tmp_path):
    pose = pose_file()
    write_pose(tmp_path / "a.pose", pose)
    theirs = Pose.read((tmp_path / "a.pose").read_bytes())
    names = [component.name for component in theirs.header.components]
    assert names == ["POSE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"]
    assert theirs.body.data.shape == (3, 1, 75, 3)
    np.testing.assert_allclose(theirs.body.data[0, 0, 0], pose.keypoints[0, 0] * (640, 360, 1), rtol=1e-5)
    assert theirs.body.confidence.sum() == (33 + 21) + 2 * (21 + 21)


def test_whole_body_points_come_back_with_their_scores(tmp_path):
    points = np.random.default_rng(0).random((4, 133, 3)).astype(np.float32)
    points[1:, 23:91] = np.nan
    pose = PoseFile(keypoints=points, fps=25, height=360, width=640, skeleton=COCO_WHOLEBODY_133)
    write_pose(tmp_path / "a.pose", pose)
    back = read_pose_components(tmp_path / "a.pose")
    assert (back.skeleton, back.fps, back.height, back.width) == (COCO_WHOLEBODY_133, 25, 360, 640)
    np.testing.assert_allclose(back.points, points, atol=1e-6)
    theirs = Pose.read((tmp_path / "a.pose").read_bytes())
    assert [component.name for component in theirs.header.components] == ["BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"]


def test_a_selection_of_whole_body_points_is_named_by_the_same_joints(tmp_path):
    from pose_format.utils.cocowholebody133_header import cocowholebody_components

    body, face, *_ = cocowholebody_components()
    face.points = [*face.points, "face-68"]
    body.points = [*body.points[:2], "neck"]
    found = changed(tmp_path / "a.pose", kept=[body, face], axes="XYC")
    skeleton = read_pose_components(found).skeleton
    assert (skeleton.detector, skeleton.third) == ("coco-wholebody", "confidence")
    assert skeleton.joints == ("nose", "left_eye", "BODY.neck", *FACE_68, "FACE.face-68")


def changed(path: Path, *, components: slice = slice(None), people: int = 1, axes: str = "XYZC", kept=None) -> Path:
    """Write a pose file of the whole of Holistic, changed."""
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
    from pose_format.utils.holistic import holistic_components

    kept = kept or holistic_components(axes)[components]
    header = PoseHeader(version=0.2, dimensions=PoseHeaderDimensions(10, 20, 0), components=kept)
    n_points = sum(len(component.points) for component in kept)
    data = np.ones((2, people, n_points, len(axes) - 1))
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(fps=25, data=data, confidence=data[..., 0])).write(file)
    return path


def test_the_face_and_the_world_are_left_out(tmp_path):
    back = read_pose(changed(tmp_path / "a.pose"))
    assert back.keypoints.shape == (2, 75, 3)
    np.testing.assert_allclose(back.keypoints[0, 0], (0.1, 0.05, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"components": slice(0, 3)}, "has other keypoints than MediaPipe Holistic's.* lacks right_hand_0, right_h"),
        ({"people": 2}, "holds 2 people, expected one"),
        ({"axes": "XYC"}, "has keypoints of 2 numbers, expected x, y and z"),
    ],
)
def test_pose_files_of_something_else(tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        read_pose(changed(tmp_path / "a.pose", **change))


@pytest.mark.parametrize("length", [0, 10, 3000])
def test_a_file_cut_off(tmp_path, length):
    write_pose(tmp_path / "a.pose", pose_file())
    (tmp_path / "b.pose").write_bytes((tmp_path / "a.pose").read_bytes()[:length])
    with pytest.raises(UserError, match=r"b.pose is not a \.pose file that can be read"):
        read_pose(tmp_path / "b.pose")


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_pose(tmp_path / "a.pose")
