"""Read OpenPose's folders of JSON files, one per frame."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.video.oserrors import explain_os_error
from slt.video.skeletons import OPENPOSE_137

SUFFIX = "_keypoints.json"
LARGEST_FILE = 4 << 20
"""Bytes; one person takes about 8 kB."""
MOST_GAPS = 1000
"""Frames that may lack a file: beyond that, numbers are not those of frames."""

SEVERAL_PEOPLE = "several people in some frames: the first of each frame is taken"

_NUMBER = re.compile(r"(?:^|\D)(\d{1,18})_keypoints\.json")
_PARTS = {"pose_keypoints_2d": 25, "face_keypoints_2d": 70, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21}
"""OpenPose's names of the parts → joints, in the order of ``OPENPOSE_137``."""


def frame_files(folder: Path) -> dict[int, Path]:
    """Return frame → its file, frames counted from the first one that has a file; empty: none is OpenPose's.

    Raises:
        UserError: the folder cannot be read, a number is there twice, or the numbers are not those of frames.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except OSError as error:
        raise explain_os_error(folder, error) from error
    numbers: dict[int, str] = {}
    for name in names:
        found = _NUMBER.search(name)
        if found is None:
            raise UserError(f"{folder / name} has no number of its frame, expected one before {SUFFIX}")
        other = numbers.setdefault(int(found[1]), name)
        if other != name:
            raise UserError(f"{folder} has two files of one frame: {other} and {name}", fix="give one folder per clip")
    if not numbers:
        return {}
    first, last = min(numbers), max(numbers)
    if last - first >= len(numbers) + MOST_GAPS:
        raise UserError(
            f"{folder} has {len(numbers)} files numbered {first} to {last}, expected a number per frame",
            fix="give the folder as OpenPose wrote it",
        )
    return {number - first: folder / numbers[number] for number in sorted(numbers)}


def read_openpose(folder: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Read a folder of ``<name>_<number>_keypoints.json``: the first person of every frame.

    Returns:
        (T, 137, 3) float32: x and y in pixels, and the confidence; NaN where not seen. And warnings.

    Raises:
        UserError: no such files, or one of them is not OpenPose's BODY_25 with face and hands as it writes them.
    """
    files = frame_files(folder)
    if not files:
        raise UserError(f"{folder} holds no files <name>_<frame>{SUFFIX}", fix="give the folder of one clip")
    points = np.full((max(files) + 1, len(OPENPOSE_137.joints), 3), np.nan, np.float32)
    is_crowded = False
    for frame, path in files.items():
        people = _people(path)
        is_crowded |= len(people) > 1
        if people:
            points[frame] = _joints(people[0], path)
    warnings = []
    if is_crowded:
        warnings.append(SEVERAL_PEOPLE)
    if len(files) < len(points):
        warnings.append("some frames have no file: nothing is seen in them")
    return points, warnings


def _people(path: Path) -> list[Any]:
    """Return the people of one frame's file."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise explain_os_error(path, error) from error
    if len(data) > LARGEST_FILE:
        raise UserError(f"{path} has more than {LARGEST_FILE >> 20} MiB, expected the keypoints of one frame")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}"[:300], fix="copy or make it again") from error
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise UserError(f"{path} has no list of people, expected what OpenPose writes with --write_json")
    return people


def _joints(person: Any, path: Path) -> NDArray[np.float32]:
    """Return (137, 3) of one person; a part that is absent, or of confidence 0, is NaN."""
    parts = []
    for name, count in _PARTS.items():
        numbers = (person.get(name) if isinstance(person, dict) else None) or []
        try:
            part = np.array(numbers if isinstance(numbers, list) else None, dtype=np.float32)
        except (ValueError, TypeError, OverflowError):
            part = np.empty(1, np.float32)
        if part.shape not in ((3 * count,), (0,)):
            raise UserError(
                f"{path}: {name} holds {np.size(numbers)} numbers, expected {3 * count}: x, y and confidence of "
                f"{count} joints",
                fix="run OpenPose with its BODY_25 model, or convert the files" if count == 25 else None,
            )
        parts.append(part.reshape(-1, 3) if part.size else np.zeros((count, 3), np.float32))
    joints = np.concatenate(parts)
    unseen = ~np.isfinite(joints).all(axis=1) | (joints[:, 2] <= 0)
    joints[unseen] = np.nan
    return joints
