"""Keypoint files of every layout: what they hold, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from pose_format.utils.openpose import OpenPose_Components, load_openpose_directory

from slt.core.errors import UserError
from slt.video import openpose
from slt.video.keypoint_files import LAYOUTS, layout_of, measure_keypoints, read_keypoint_file
from slt.video.keypoints import _components
from slt.video.skeletons import MEDIAPIPE_75, OPENPOSE_137, SKELETONS, convert
from tests.keypoint_layouts import (
    DETECTED,
    HEIGHT,
    WIDTH,
    WRITERS,
    chosen,
    figure,
    with_face,
    write_components,
    write_npy,
)

POINTS = figure(6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_it_was_written(tmp_path, layout):
    path = WRITERS[layout](tmp_path, "a", POINTS)
    found = read_keypoint_file(path, layout)
    skeleton = DETECTED.get(layout) or SKELETONS[layout.removesuffix("-kaggle") if layout != "pose" else "mediapipe-75"]
    assert found.skeleton == skeleton
    assert found.unit == ("pixels" if layout == "openpose" else "normalised")
    assert measure_keypoints(path) == (6, 25.0 if layout == "pose" else None)
    assert layout_of(path) == layout.removesuffix("-kaggle")
    joints = found.normalised(path, (WIDTH, HEIGHT)).as_skeleton(MEDIAPIPE_75).points
    seen = np.isfinite(joints).all(axis=2)
    np.testing.assert_allclose(joints[seen][:, :2], POINTS[seen][:, :2], atol=1e-5)
    assert not seen[1, 54:].any()
    assert seen[:, 11:17].all()


def test_openpose_is_read_as_pose_format_reads_it(tmp_path):
    path = WRITERS["openpose"](tmp_path, "a", POINTS)
    body = load_openpose_directory(str(path), fps=25, width=WIDTH, height=HEIGHT).body
    found = read_keypoint_file(path).points
    seen = np.asarray(body.confidence[:, 0] > 0)
    np.testing.assert_array_equal(np.isfinite(found).all(axis=2), seen)
    np.testing.assert_allclose(found[seen][:, :2], np.asarray(body.data)[:, 0][seen], rtol=1e-5)


def person(**parts: list[float]) -> dict[str, list[float]]:
    whole = {
        "pose_keypoints_2d": 25,
        "face_keypoints_2d": 70,
        "hand_left_keypoints_2d": 21,
        "hand_right_keypoints_2d": 21,
    }
    return {name: [400.0, 300.0, 0.5] * count for name, count in whole.items()} | parts


def write_frames(folder: Path, *people: list[dict[str, list[float]]] | None, first: int = 0) -> Path:
    """Write one file per list of people; None: no file for that frame."""
    folder.mkdir()
    for number, here in enumerate(people, first):
        if here is not None:
            (folder / f"v2_{number:012d}_keypoints.json").write_text(json.dumps({"people": here}))
    return folder


def test_frames_without_people_with_several_and_without_a_file(tmp_path):
    other = person(pose_keypoints_2d=[100.0, 100.0, 0.9] * 25)
    folder = write_frames(tmp_path / "a", [person()], [], None, [person(), other], [other], first=7)
    found = read_keypoint_file(folder)
    assert found.points.shape == (5, 137, 3)
    assert [bool(np.isfinite(frame).any()) for frame in found.points] == [True, False, False, True, True]
    assert (found.points[3, 0] == (400, 300, 0.5)).all()
    assert found.warnings == (
        "several people in some frames: the first of each frame is taken",
        "some frames have no file: nothing is seen in them",
    )
    assert measure_keypoints(folder) == (5, None)


def test_a_part_that_openpose_was_not_asked_for_is_not_seen(tmp_path):
    found = read_keypoint_file(write_frames(tmp_path / "a", [person(face_keypoints_2d=[])])).points
    assert np.isnan(found[0, 25:95]).all()
    assert np.isfinite(np.delete(found[0], range(25, 95), axis=0)).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"people": [', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"people": ' + "[" * 100_000, "is not JSON"),
        ('{"people": [{"pose_keypoints_2d": [' + "9" * 5000 + "]}]}", "is not JSON"),
        ("[]", "has no list of people"),
        ('{"people": {}}', "has no list of people"),
        (json.dumps({"people": [person(pose_keypoints_2d=[1.0] * 54)]}), "holds 54 numbers, expected 75"),
        (
            json.dumps({"people": [person(hand_left_keypoints_2d=["a"] * 63)]}),
            "hand_left_keypoints_2d holds 63 numbers",
        ),
        (json.dumps({"people": [person(face_keypoints_2d={"a": 1})]}), "face_keypoints_2d holds"),  # type: ignore[arg-type]
        (" " * (5 << 20), "has more than 4 MiB"),
    ],
)
def test_json_that_openpose_does_not_write(tmp_path, content, said):
    (tmp_path / "a_000000000000_keypoints.json").write_text(content)
    with pytest.raises(UserError, match=said):
        read_keypoint_file(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "holds no files"),
        (("a_keypoints.json",), "has no number of its frame"),
        (("a_1_keypoints.json", "b_01_keypoints.json"), "two files of one frame: a_1_keypoints.json and b_01"),
        (("a_0_keypoints.json", "a_999999999999_keypoints.json"), "2 files numbered 0 to 999999999999"),
    ],
)
def test_folders_that_are_not_of_one_clip(tmp_path, names, said):
    for name in names:
        (tmp_path / name).write_text('{"people": []}')
    with pytest.raises(UserError, match=said):
        read_keypoint_file(tmp_path, "openpose")


def test_a_folder_or_a_frame_that_may_not_be_read(tmp_path, monkeypatch):
    folder = write_frames(tmp_path / "a", [person()])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match="permission"):
        read_keypoint_file(folder)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="permission"):
        openpose.frame_files(folder)


def test_units_are_not_guessed(tmp_path):
    (tmp_path / "a").mkdir()
    joints = (np.abs(np.nan_to_num(POINTS)) + 0.1) * np.array([WIDTH, HEIGHT, 1])
    pixels = write_npy(tmp_path / "a", "p", np.where(joints == 0, 1, joints).astype(np.float32))
    with pytest.raises(UserError, match=r"p\.npy, read as body|p\.npy holds pixels"):
        read_keypoint_file(pixels)
    content = {"keypoints": [np.full((1, 133, 2), 300.0)], "scores": [np.ones((1, 133))]}
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"p\.pkl holds pixels \(x and y around 300\), expected shares"):
        read_keypoint_file(tmp_path / "p.pkl")
    scaled = write_frames(
        tmp_path / "s", [person(**{name: [0.5, 0.5, 0.9] * (len(one) // 3) for name, one in person().items()})]
    )
    with pytest.raises(UserError, match=r"holds shares of the picture \(x and y around 0.50\), expected pixels"):
        read_keypoint_file(scaled)
    found = read_keypoint_file(write_frames(tmp_path / "o", [person()]))
    with pytest.raises(UserError, match="holds pixels, and does not say how large the picture is"):
        found.normalised(tmp_path, None)


def test_arrays_in_another_order_are_noticed(tmp_path):
    swapped = np.concatenate([POINTS[:, :33], POINTS[:, 54:], POINTS[:, 33:54]], axis=1)
    with pytest.raises(UserError, match=r"each hand begins at the other arm's wrist|hands begin 0"):
        read_keypoint_file(write_npy(tmp_path, "swapped", swapped))
    axes_first = POINTS.transpose(0, 2, 1).reshape(len(POINTS), -1)
    with pytest.raises(UserError, match=r"hands begin 0.* picture widths from their wrists"):
        read_keypoint_file(write_npy(tmp_path, "axes", np.nan_to_num(axes_first, nan=0.9)))
    kaggle = WRITERS["mediapipe-543-kaggle"](tmp_path, "kaggle", POINTS)
    with pytest.raises(UserError, match="read as body, face, left hand, right hand with x, y, z"):
        read_keypoint_file(kaggle)
    whole = WRITERS["mediapipe-543"](tmp_path, "whole", POINTS)
    with pytest.raises(UserError, match="read as face, left hand, body, right hand with x, y, z"):
        read_keypoint_file(whole, "mediapipe-543-kaggle")
    handless = with_face(POINTS)
    handless[:, 501:] = 0
    assert np.isnan(read_keypoint_file(write_npy(tmp_path, "handless", handless)).points[:, 501:]).all()
    with pytest.raises(UserError, match="holds 75 joints, expected the 543"):
        read_keypoint_file(write_npy(tmp_path, "75", POINTS), "mediapipe-543-kaggle")
    with pytest.raises(UserError, match="holds 75 joints of a frame, expected 543"):
        read_keypoint_file(tmp_path / "75.npy", "mediapipe-543")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 768), np.float32), r"no file of keypoints"),
        (np.zeros((0, 75, 3), np.float32), r"no file of keypoints"),
        (np.array("text"), r"no file of keypoints"),
        (np.full((2, 75, 3), "a"), r"holds <U1 of shape \(2, 75, 3\)"),
    ],
)
def test_arrays_of_something_else(tmp_path, array, said):
    with pytest.raises(UserError, match=said):
        read_keypoint_file(write_npy(tmp_path, "a", array))


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "z.npz", a=POINTS)
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    with pytest.raises(UserError, match=r"is not a whole \.npy file of numbers"):
        read_keypoint_file(tmp_path / "a.npy")
    with pytest.raises(UserError, match="is an archive of arrays"):
        read_keypoint_file(tmp_path / "z.npy")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UserError, match="cannot read"):
        read_keypoint_file(tmp_path, "mediapipe-75")


GOOD = {"keypoints": [np.full((1, 133, 2), 0.5)] * 2, "scores": [np.ones((1, 133))] * 2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "holds list, expected a dict"),
        ({"pose": 1}, "holds pose, expected a dict"),
        ({"keypoints": [], "scores": []}, "holds no frames"),
        ({**GOOD, "scores": GOOD["scores"][:1]}, "holds no frames, or as many of one kind as not of the other"),
        ({**GOOD, "keypoints": [np.zeros((1, 17, 2))] * 2}, "frame 0 has keypoints of another shape"),
        ({**GOOD, "keypoints": ["a", "b"]}, "frame 0 has keypoints of another shape"),
        ({**GOOD, "scores": [None, None]}, "frame 0 has keypoints of another shape"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, said):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=said):
        read_keypoint_file(tmp_path / "a.pkl")


def test_uni_sign_pickles_in_their_variants(tmp_path):
    several = {"keypoints": [np.stack([np.full((133, 2), 0.2), np.full((133, 2), 0.9)])], "scores": [np.ones((2, 133))]}
    nobody = {
        "keypoints": [np.empty((0, 133, 2)), np.full((1, 133, 2), 0.5)],
        "scores": [np.empty((0, 133)), np.ones((1, 133))],
    }
    one_array = {"keypoints": np.full((3, 1, 133, 2), 0.5), "scores": np.ones((3, 1, 133)), "start": 0, "end": 3}
    bare = {"keypoints": np.full((3, 133, 2), 0.5), "scores": np.ones((3, 133))}
    found = []
    for number, content in enumerate((several, nobody, one_array, bare)):
        (tmp_path / f"{number}.pkl").write_bytes(pickle.dumps(content))
        found.append(read_keypoint_file(tmp_path / f"{number}.pkl"))
    assert found[0].points[0, 0, 0] == np.float32(0.2)
    assert found[0].warnings == ("several people in some frames: the first of each frame is taken",)
    assert [bool(np.isfinite(frame).all()) for frame in found[1].points] == [False, True]
    np.testing.assert_array_equal(found[2].points, found[3].points)


def test_pose_files_of_any_components(tmp_path):
    body, face, left, right, world = _components()
    reduced = [chosen(body.name, body.points[11:17], body), chosen(face.name, face.points[::50], face), left, right]
    found = read_keypoint_file(write_components(tmp_path / "reduced.pose", reduced))
    assert (
        found.skeleton.name == "pose:pose_landmarks-6+face_landmarks-10+left_hand_landmarks-21+right_hand_landmarks-21"
    )
    joints = found.as_skeleton(MEDIAPIPE_75).points
    assert np.isfinite(joints[:, [*range(11, 17), *range(33, 75)], :2]).all()
    assert np.isnan(joints[:, [*range(11), *range(17, 33)]]).all()
    whole = read_keypoint_file(write_components(tmp_path / "whole.pose", [body, face, left, right, world]))
    assert (whole.skeleton.detector, len(whole.skeleton.joints)) == ("mediapipe", 576)
    assert np.isfinite(whole.as_skeleton(MEDIAPIPE_75).points).all()
    drawn = read_keypoint_file(write_components(tmp_path / "openpose.pose", OpenPose_Components))
    assert drawn.skeleton == OPENPOSE_137
    np.testing.assert_allclose(convert(drawn.points, OPENPOSE_137, MEDIAPIPE_75)[0, 11], (0.5, 0.5, 0))
    odd = chosen("SOMETHING", ["A", "B"], body)
    other = read_keypoint_file(write_components(tmp_path / "odd.pose", [odd]))
    assert (other.skeleton.detector, other.skeleton.joints) == ("other", ("SOMETHING.A", "SOMETHING.B"))
    with pytest.raises(UserError, match="pose:something-2 has no joint of mediapipe-75"):
        other.as_skeleton(MEDIAPIPE_75)


def test_points_with_names_of_their_own_are_kept_under_them(tmp_path):
    body, _, left, _, _ = _components()
    pose, face, hand, _ = OpenPose_Components
    parts = [chosen(body.name, ["NOSE", "TAIL"], body), chosen(left.name, ["WRIST", "CLAW"], left)]
    joints = read_keypoint_file(write_components(tmp_path / "a.pose", parts)).skeleton.joints
    assert joints == ("nose", "POSE_LANDMARKS.TAIL", "left_hand_0", "LEFT_HAND_LANDMARKS.CLAW")
    parts = [
        chosen(pose.name, ["LBigToe", "Tail"], pose),
        chosen(face.name, ["FB_0", "FX", "F_99"], face),
        chosen(hand.name, [*hand.points, "X"], hand),
    ]
    joints = read_keypoint_file(write_components(tmp_path / "b.pose", parts)).skeleton.joints
    assert joints[:5] == (
        "left_big_toe",
        "pose_keypoints_2d.Tail",
        "face_0",
        "face_keypoints_2d.FX",
        "face_keypoints_2d.F_99",
    )
    assert joints[-2:] == ("left_hand_20", "left.X")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"people": 2}, "holds 2 people, expected one"),
        ({"fps": 0.0}, "has 0.0 frames per second"),
        ({"fps": float("nan")}, "has nan frames per second"),
        ({"size": 0}, "says that its picture is 0 by 0 pixels"),
    ],
)
def test_pose_files_that_cannot_be_used(tmp_path, changed, said):
    path = write_components(tmp_path / "a.pose", _components()[:1], **changed)
    with pytest.raises(UserError, match=said):
        read_keypoint_file(path)
    if "fps" in changed:
        with pytest.raises(UserError, match=said):
            measure_keypoints(path)


def test_what_is_no_keypoint_file(tmp_path):
    with pytest.raises(UserError, match="does not exist, expected keypoints"):
        read_keypoint_file(tmp_path / "a.pose")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match="is no file of keypoints; expected"):
        read_keypoint_file(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="unknown layout 'open-pose'"):
        read_keypoint_file(tmp_path / "a.mp4", "open-pose")
    (tmp_path / "b.pose").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"b\.pose is not a \.pose file that can be read"):
        measure_keypoints(tmp_path / "b.pose")
