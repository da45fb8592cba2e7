"""Keypoint files of many clips as features, and the conversion of stored keypoints to another skeleton."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.features.by_clip import FeaturesByClip
from slt.data.features.header import StoreHeader
from slt.data.features.store import Features
from slt.data.manifest import complaint_about_id
from slt.video.keypoint_files import KeypointFile, KeypointLayout, layout_named, read_keypoint_file
from slt.video.openpose import SUFFIX
from slt.video.rate import is_kept, nearest_rows
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, SKELETONS, Skeleton, convert, skeleton_named

KEYPOINTS, WHOLEBODY = "keypoints", "wholebody"
SKELETON_OF = {KEYPOINTS: MEDIAPIPE_75.name, WHOLEBODY: COCO_WHOLEBODY_133.name}
"""The extractor that makes features of such joints → the skeleton it makes."""
TARGET_FPS = 25.0
TRIED = 20
"""Files that are tried for the header; where none of them can be read, the others will not be either."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How keypoint files are read.

    Attributes:
        layout: a name of ``LAYOUTS``.
        to: the skeleton wanted, a name of ``SKELETONS``; None: the files' own.
        size: (width, height) of the pictures in pixels, where the files do not say; x and y are then divided by it.
        fps: frames per second, where the files do not say; outside 20 to 30 they are brought to 25.
    """

    layout: str
    to: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None


class KeypointFolder(FeaturesByClip):
    """The keypoints in a folder tree: a file per clip, or a folder of OpenPose's JSON files.

    Attributes:
        folder: where they lie.
        header: whose joints they are and in which unit, by the first of them that can be read; the others must agree.
        places: the file or folder of each clip, by id.
        warnings: message → number of clips it is about, as they are read.

    Raises:
        UserError: there is no such layout or skeleton, no file of that layout, or an id has two files; none
            of the first can be read.
    """

    def __init__(self, folder: Path, reading: Reading) -> None:
        self.folder = folder
        self._reading = reading
        self._target = skeleton_named(reading.to) if reading.to else None
        self.warnings: dict[str, int] = {}
        self.places = _find(folder, layout_named(reading.layout))
        first, geometry = self._first()
        self._skeleton = first.skeleton
        self.header = StoreHeader(
            feature_dim=first.skeleton.width,
            dtype="float32",
            extractor=_extractor_of(first.skeleton),
            geometry=geometry,
        )

    def read(self, id: str) -> NDArray[Any]:
        """Return the keypoints of a clip, (T, 3J) float32, NaN where not seen.

        Raises:
            KeyError: it has no file.
            UserError: the file cannot be read, or holds other joints, or another unit, than the first.
        """
        path = self.places[id]
        found, geometry = self._read(path)
        if found.skeleton != self._skeleton or geometry != self.header.geometry:
            raise UserError(
                f"{path} holds {_described(geometry)}, others {_described(self.header.geometry)}",
                fix="import them into different stores, or give --to",
            )
        if not np.isfinite(found.points).any():
            raise UserError(f"{path}: nobody is seen in any frame", fix="leave the clip out")
        for warning in found.warnings:
            self.warnings[warning] = self.warnings.get(warning, 0) + 1
        rows = found.points.reshape(len(found.points), -1)
        fps = found.fps or self._reading.fps
        return rows if fps is None or is_kept(fps, TARGET_FPS) else nearest_rows(rows, fps, TARGET_FPS)

    def where(self, id: str) -> str:
        """See ``FeaturesByClip``."""
        return str(self.places[id])

    def _first(self) -> tuple[KeypointFile, dict[str, Any]]:
        """Read the first file that can be read; what is wrong with others is told when their turn comes.

        Raises:
            UserError: none of the first ``TRIED`` can be.
        """
        complaints: list[UserError] = []
        for path in list(self.places.values())[:TRIED]:
            try:
                return self._read(path)
            except UserError as error:
                complaints.append(error)
        raise complaints[0]

    def _read(self, path: Path) -> tuple[KeypointFile, dict[str, Any]]:
        """Return a clip's keypoints as wanted, and what a header says of them."""
        found = read_keypoint_file(path, self._reading.layout)
        detector = found.skeleton.detector
        if self._target is not None or self._reading.size is not None:
            found = found.normalised(path, self._reading.size)
        if self._target is not None:
            found = found.as_skeleton(self._target)
        rate = {"target_fps": TARGET_FPS} if found.fps or self._reading.fps else {}
        return found, {"detector": detector, "skeleton": found.skeleton.name, "unit": found.unit, **rate}


class ConvertedKeypoints:
    """Stored keypoints as those of another skeleton; what it does not have is NaN.

    Args:
        features: keypoints whose header says whose joints they are, in shares of the picture.
        to: a name of ``SKELETONS``.

    Raises:
        UserError: no such skeleton, or features that are not keypoints or of a skeleton not known, or pixels.
    """

    def __init__(self, features: Features, to: str) -> None:
        geometry, self._target = features.header.geometry, skeleton_named(to)
        made_by = features.header.extractor or "an unknown kind"
        name = geometry.get("skeleton", SKELETON_OF.get(made_by))
        own = SKELETONS.get(name) if made_by in SKELETON_OF else None
        if own is None or own.width != features.header.feature_dim:
            raise UserError(
                f"the features are {made_by} of the skeleton {name}, expected keypoints of {' or '.join(SKELETONS)}",
                fix="import the keypoint files with --layout",
            )
        if geometry.get("unit", "normalised") != "normalised":
            raise UserError(
                "the keypoints are in pixels, expected shares of the picture",
                fix="import the files again with --size 1280x720",
            )
        self._features, self._own = features, own
        self.header = dataclasses.replace(
            features.header,
            feature_dim=self._target.width,
            extractor=_extractor_of(self._target),
            geometry={"detector": own.detector, "unit": "normalised", **geometry, "skeleton": self._target.name},
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clips."""
        return self._features.ids

    def __len__(self) -> int:
        return len(self._features)

    def __contains__(self, id: object) -> bool:
        return id in self._features

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, id: str) -> NDArray[Any]:
        """Return the keypoints of a clip, (T, 3J) float32.

        Raises:
            KeyError: it is not there.
            SltError: it cannot be read.
        """
        points = self._features[id].reshape(-1, len(self._own.joints), 3)
        converted = convert(points, self._own, self._target)
        return converted.reshape(len(converted), -1)

    def length(self, id: str) -> int:
        """Return how many frames a clip has."""
        return self._features.length(id)


def _extractor_of(skeleton: Skeleton) -> str:
    """Return the extractor whose features such joints are, for the encoders that read them."""
    return WHOLEBODY if skeleton == COCO_WHOLEBODY_133 else KEYPOINTS


def _find(folder: Path, layout: KeypointLayout) -> dict[str, Path]:
    """Return the file, or folder of JSON files, of each clip below a folder, by id."""
    if not folder.is_dir():
        raise UserError(f"there are no keypoints in {folder}: no such folder", fix="give the folder they lie in")
    paths: dict[str, Path] = {}
    for root, folders, names in os.walk(folder):
        folders.sort()
        if not layout.suffixes and any(name.endswith(SUFFIX) for name in names):
            _add(paths, Path(root).name, Path(root))
        for name in sorted(names):
            if Path(name).suffix.lower() in layout.suffixes and not name.startswith("."):
                _add(paths, Path(name).stem, Path(root, name))
    if not paths:
        raise UserError(f"{folder} holds no keypoints of that layout, expected {layout.what}", fix="see --layout")
    return paths


def _add(paths: dict[str, Path], id: str, path: Path) -> None:
    if expected := complaint_about_id(id):
        raise UserError(f"{path} would name a clip {id!r:.60}, expected {expected}", fix="rename it")
    if (other := paths.setdefault(id, path)) is not path:
        raise UserError(f"two files hold the keypoints of {id}: {other} and {path}", fix="import one folder at a time")


def _described(geometry: Any) -> str:
    return f"{geometry['skeleton']} by {geometry['detector']} ({geometry['unit']})"
