"""Keypoint files of all layouts: what they hold, in which unit, and as the joints of another skeleton."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.registry import did_you_mean
from slt.video.keypoint_arrays import mediapipe_joints, npy_shape, read_mediapipe, read_uni_sign
from slt.video.openpose import frame_files, read_openpose
from slt.video.pose_components import measure_pose, read_pose_components
from slt.video.skeletons import COCO_WHOLEBODY_133, OPENPOSE_137, Skeleton, convert

Unit: TypeAlias = Literal["normalised", "pixels"]
"""x and y from 0 to 1 across the picture, or in pixels; z is in picture widths."""

LARGEST_SHARE = 5.0
"""A joint may lie outside the picture, but a middle x or y above this is no share of a picture."""


@dataclass(frozen=True, kw_only=True)
class KeypointFile:
    """The keypoints of one person in one video.

    Attributes:
        points: (T, J, 3) float32: x, y, and z or a confidence; NaN where not seen.
        skeleton: whose joints they are.
        unit: of x and y.
        fps: frames per second; None: the file does not say.
        height: of the picture in pixels; None: the file does not say.
        width: likewise.
        warnings: for the user.
    """

    points: NDArray[np.float32]
    skeleton: Skeleton
    unit: Unit
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    warnings: tuple[str, ...] = ()

    def normalised(self, path: Path, size: tuple[int, int] | None) -> KeypointFile:
        """Return the same with x and y from 0 to 1 across the picture.

        Args:
            path: of the file, for the error.
            size: (width, height) of the picture in pixels, where the file does not say.

        Raises:
            UserError: pixels, of a picture of unknown size.
        """
        if self.unit == "normalised":
            return self
        width, height = (self.width, self.height) if self.width and self.height else (size or (None, None))
        if not width or not height:
            raise UserError(
                f"{path} holds pixels, and does not say how large the picture is",
                fix="slt features import DIR --layout … --size 1280x720; or name the video in the manifest",
            )
        points = self.points / np.array([width, height, 1], np.float32)
        return replace(self, points=points.astype(np.float32), unit="normalised", width=width, height=height)

    def as_skeleton(self, target: Skeleton) -> KeypointFile:
        """Return the joints of another skeleton, NaN where this one has no such joint.

        Raises:
            UserError: it has none of them.
        """
        if not set(target.joints) & set(self.skeleton.joints):
            raise UserError(f"{self.skeleton.name} has no joint of {target.name}", fix="docs/keypoints.md has a table")
        return replace(self, points=convert(self.points, self.skeleton, target), skeleton=target)


def _openpose(path: Path) -> KeypointFile:
    points, warnings = read_openpose(path)
    return KeypointFile(points=points, skeleton=OPENPOSE_137, unit="pixels", warnings=tuple(warnings))


def _uni_sign(path: Path) -> KeypointFile:
    points, warnings = read_uni_sign(path)
    return KeypointFile(points=points, skeleton=COCO_WHOLEBODY_133, unit="normalised", warnings=tuple(warnings))


def _mediapipe(path: Path, *, n_joints: int, kaggle: bool = False) -> KeypointFile:
    points, skeleton = read_mediapipe(path, kaggle=kaggle)
    if len(skeleton.joints) != n_joints:
        fix = f"--layout {skeleton.name}"
        raise UserError(f"{path} holds {len(skeleton.joints)} joints of a frame, expected {n_joints}", fix=fix)
    return KeypointFile(points=points, skeleton=skeleton, unit="normalised")


def _pose(path: Path) -> KeypointFile:
    found = read_pose_components(path)
    return KeypointFile(
        points=found.points,
        skeleton=found.skeleton,
        unit="normalised",
        fps=found.fps,
        height=found.height,
        width=found.width,
    )


@dataclass(frozen=True, kw_only=True)
class KeypointLayout:
    """One way in which people keep keypoints.

    Attributes:
        what: in words.
        suffixes: of its files; none: a clip is a folder of files.
        read: reads one clip's file or folder.
    """

    what: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], KeypointFile]


PICKLES = (".pkl", ".pickle")
LAYOUTS: Mapping[str, KeypointLayout] = {
    "openpose": KeypointLayout(
        what="a folder per clip of <name>_<frame>_keypoints.json, as OpenPose writes", suffixes=(), read=_openpose
    ),
    "uni-sign": KeypointLayout(
        what="pickles of 133 COCO-WholeBody points and scores, as Uni-Sign's", suffixes=PICKLES, read=_uni_sign
    ),
    "mediapipe-75": KeypointLayout(
        what=".npy (T, 75, 3) or (T, 225): body, left hand, right hand",
        suffixes=(".npy",),
        read=lambda path: _mediapipe(path, n_joints=75),
    ),
    "mediapipe-543": KeypointLayout(
        what=".npy (T, 543, 3) or (T, 1629): body, face, left hand, right hand",
        suffixes=(".npy",),
        read=lambda path: _mediapipe(path, n_joints=543),
    ),
    "mediapipe-543-kaggle": KeypointLayout(
        what="the same, in the order of a Kaggle competition: face, left hand, body, right hand",
        suffixes=(".npy",),
        read=lambda path: _mediapipe(path, n_joints=543, kaggle=True),
    ),
    "pose": KeypointLayout(what=".pose files of any component set", suffixes=(".pose",), read=_pose),
}


def layout_named(name: str) -> KeypointLayout:
    """Return a layout by its name.

    Raises:
        UserError: there is none; the nearest are given.
    """
    if name not in LAYOUTS:
        raise UserError(f"unknown layout {name!r}; known: {', '.join(LAYOUTS)}", fix=did_you_mean(name, LAYOUTS))
    return LAYOUTS[name]


def layout_of(path: Path) -> str:
    """Return the name of the layout of a clip's file or folder, by its name, and by its shape where it is an array.

    Raises:
        UserError: it is of none.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return "openpose"
    if suffix == ".npy":
        skeleton = mediapipe_joints(npy_shape(path))
        if skeleton is not None:
            return skeleton.name
    for name, layout in LAYOUTS.items():
        if suffix in layout.suffixes and suffix != ".npy":
            return name
    raise UserError(
        f"{path} is no file of keypoints; expected a .pose file, a folder of OpenPose's JSON files, a pickle as "
        "Uni-Sign's, or MediaPipe's landmarks as .npy",
        fix="docs/keypoints.md describes all layouts",
    )


def read_keypoint_file(path: Path, layout: str | None = None) -> KeypointFile:
    """Read the keypoints of one video.

    Args:
        path: a file; or a folder of OpenPose's JSON files.
        layout: a name of ``LAYOUTS``; None: as the file's name and shape tell.

    Raises:
        UserError: no such file, of another layout, damaged, or in another unit than that of its layout.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist, expected keypoints", fix="correct the path")
    found = layout_named(layout or layout_of(path)).read(path)
    middle = float(np.nanmedian(np.abs(found.points[:, :, :2]))) if np.isfinite(found.points).any() else math.nan
    if found.unit == "normalised" and middle > LARGEST_SHARE:
        raise UserError(
            f"{path} holds pixels (x and y around {middle:.0f}), expected shares of the picture from 0 to 1",
            fix="divide x by the picture's width and y by its height",
        )
    if found.unit == "pixels" and middle < 1:
        raise UserError(
            f"{path} holds shares of the picture (x and y around {middle:.2f}), expected pixels",
            fix="run OpenPose with --keypoint_scale 0",
        )
    return found


def measure_keypoints(path: Path) -> tuple[int, float | None]:
    """Return the number of frames of a clip's keypoints, and the frames per second where the file says so.

    Reads no more than it must: a header, or a folder's names.

    Raises:
        UserError: no such file, or it cannot be read.
    """
    name = layout_of(path)
    if name == "pose":
        return measure_pose(path)
    if name == "openpose":
        return max(frame_files(path), default=-1) + 1, None
    if path.suffix.lower() == ".npy":
        return npy_shape(path)[0], None
    return len(read_keypoint_file(path, name).points), None
