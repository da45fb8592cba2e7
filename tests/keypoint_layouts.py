"""Keypoints of a moving figure, written in every layout that slt reads."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pose_format.numpy import NumPyPoseBody
from pose_format.pose import Pose
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from slt.video.keypoint_arrays import KAGGLE_543
from slt.video.keypoints import PoseFile, write_pose
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, MEDIAPIPE_543, OPENPOSE_137, convert

WIDTH, HEIGHT = 1280, 720
Points = NDArray[np.float32]


def figure(n_frames: int, seed: int = 0) -> Points:
    """Return (T, 75, 3) of MediaPipe's joints: hands begin at the wrists; the right hand is gone in frame 1."""
    rng = np.random.default_rng(seed)
    points = np.empty((n_frames, 75, 3), np.float32)
    points[:] = rng.uniform(0.3, 0.7, (75, 3))
    points[:, 15, :2], points[:, 16, :2] = (0.7, 0.5), (0.3, 0.5)
    for wrist, first in ((15, 33), (16, 54)):
        points[:, first : first + 21, :2] = points[:, [wrist], :2] + rng.uniform(-0.02, 0.02, (21, 2))
        points[:, first, :2] = points[:, wrist, :2]
    points[:, :, 0] += 0.1 * np.sin(np.arange(n_frames) / 5 + seed)[:, None]
    points[1, 54:] = np.nan
    return points


def write_openpose(folder: Path, name: str, points: Points) -> Path:
    joints = convert(points, MEDIAPIPE_75, OPENPOSE_137) * np.array([WIDTH, HEIGHT, 0.9], np.float32)
    joints = np.nan_to_num(joints)
    target = folder / name
    target.mkdir(parents=True)
    for frame, one in enumerate(joints):
        parts = np.split(one, [25, 95, 116])
        keys = ("pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
        person = {"person_id": [-1], **{key: part.ravel().tolist() for key, part in zip(keys, parts, strict=True)}}
        content = {"version": 1.3, "people": [person]}
        (target / f"{name}_{frame:012d}_keypoints.json").write_text(json.dumps(content), "utf-8")
    return target


def write_uni_sign(folder: Path, name: str, points: Points) -> Path:
    joints = np.nan_to_num(convert(points, MEDIAPIPE_75, COCO_WHOLEBODY_133)).astype(np.float64)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"keypoints": [one[None, :, :2] for one in joints], "scores": [one[None, :, 2] for one in joints]}
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(content))
    return folder / f"{name}.pkl"


def write_npy(folder: Path, name: str, array: Points) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", array)
    return folder / f"{name}.npy"


def with_face(points: Points) -> Points:
    """Return MediaPipe's 543 joints, zeros where not seen, with a face above the nose."""
    whole = convert(points, MEDIAPIPE_75, MEDIAPIPE_543)
    whole[:, 33:501] = points[:, :1] + np.linspace(0, 0.05, 468, dtype=np.float32)[:, None]
    return np.nan_to_num(whole)


def write_whole(folder: Path, name: str, points: Points) -> Path:
    return write_npy(folder, name, with_face(points))


def write_kaggle(folder: Path, name: str, points: Points) -> Path:
    whole = with_face(points)
    array = np.empty_like(whole)
    array[:, KAGGLE_543] = whole
    return write_npy(folder, name, array.reshape(len(array), -1))


def write_pose_file(folder: Path, name: str, points: Points) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_pose(folder / f"{name}.pose", PoseFile(keypoints=points, fps=25, height=HEIGHT, width=WIDTH))
    return folder / f"{name}.pose"


WRITERS: Mapping[str, Callable[[Path, str, Points], Path]] = {
    "openpose": write_openpose,
    "uni-sign": write_uni_sign,
    "mediapipe-75": lambda folder, name, points: write_npy(folder, name, points.reshape(len(points), -1)),
    "mediapipe-543": write_whole,
    "mediapipe-543-kaggle": write_kaggle,
    "pose": write_pose_file,
}
DETECTED = {"openpose": OPENPOSE_137, "uni-sign": COCO_WHOLEBODY_133}
"""Skeletons of layouts that are not MediaPipe's."""


def expected(layout: str, points: Points) -> Points:
    """Return what is left of ``points`` once they were written in a layout and converted to MediaPipe's joints."""
    if layout not in DETECTED:
        return points
    return convert(convert(points, MEDIAPIPE_75, DETECTED[layout]), DETECTED[layout], MEDIAPIPE_75)


def write_components(
    path: Path, components: list[PoseHeaderComponent], people: int = 1, fps: float = 25, size: int = 100
) -> Path:
    n_points = sum(len(one.points) for one in components)
    axes = len(components[0].format) - 1
    data = np.full((2, people, n_points, axes), 50.0)
    header = PoseHeader(version=0.2, dimensions=PoseHeaderDimensions(size, size, 0), components=components)
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(fps=fps, data=data, confidence=np.ones(data.shape[:3]))).write(file)
    return path


def chosen(name: str, points: list[str], like: PoseHeaderComponent) -> PoseHeaderComponent:
    return PoseHeaderComponent(name=name, points=points, limbs=[], colors=[], point_format=like.format)
