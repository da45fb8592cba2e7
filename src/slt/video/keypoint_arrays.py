"""Read keypoints from arrays: MediaPipe's in ``.npy`` files, COCO-WholeBody's in Uni-Sign's pickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.safe_pickle import load_pickle
from slt.video.openpose import SEVERAL_PEOPLE
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, MEDIAPIPE_543, N_FACE_MESH, Skeleton

FARTHEST = 0.2
"""Picture widths between a wrist of the body and that of its hand; farther apart they are not the same joint."""

FEWEST = 3
"""Frames that must show a hand and its arm to tell the order of joints: in one, a detector may err."""

_BODY, _HAND = 33, 21
KAGGLE_543 = (
    *range(N_FACE_MESH + _HAND, N_FACE_MESH + _HAND + _BODY),
    *range(N_FACE_MESH),
    *range(N_FACE_MESH, N_FACE_MESH + _HAND),
    *range(N_FACE_MESH + _HAND + _BODY, N_FACE_MESH + 2 * _HAND + _BODY),
)
"""Where the joints of ``mediapipe-543`` stand in arrays of face, left hand, body, right hand."""


def npy_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of an ``.npy`` file by its header alone.

    Raises:
        UserError: it cannot be read.
    """
    return tuple(_load(path, mmap_mode="r").shape)


def mediapipe_joints(shape: tuple[int, ...]) -> Skeleton | None:
    """Return the skeleton that an array of this shape holds, None: neither (T, J, 3) nor (T, 3J) of MediaPipe's."""
    for skeleton in (MEDIAPIPE_75, MEDIAPIPE_543):
        if shape[1:] in ((len(skeleton.joints), 3), (skeleton.width,)) and shape[0]:
            return skeleton
    return None


def read_mediapipe(path: Path, *, kaggle: bool = False) -> tuple[NDArray[np.float32], Skeleton]:
    """Read MediaPipe Holistic's landmarks: (T, 75, 3), (T, 225), (T, 543, 3) or (T, 1629).

    Args:
        path: the ``.npy`` file.
        kaggle: of the 543, the face comes first, then left hand, body, right hand; else body, face, left, right.

    Returns:
        (T, J, 3) float32, NaN where not seen: where all three numbers are 0, or one is not finite; and whose they are.

    Raises:
        UserError: another shape, objects instead of numbers, or wrists of hands and body that do not meet.
    """
    array = _load(path)
    skeleton = mediapipe_joints(array.shape)
    if skeleton is None or array.dtype.kind not in "fiu":
        raise UserError(
            f"{path} holds {array.dtype} of shape {array.shape}, expected MediaPipe's landmarks: (T, 75, 3), (T, 225), "
            "(T, 543, 3) or (T, 1629)",
            fix="for features of another kind leave out --layout",
        )
    if kaggle and skeleton is not MEDIAPIPE_543:
        raise UserError(f"{path} holds {len(skeleton.joints)} joints, expected the 543 of the Kaggle competition")
    stored = array.astype(np.float32).reshape(len(array), -1, 3)
    stored[~np.isfinite(stored).all(axis=2) | (stored == 0).all(axis=2)] = np.nan
    points = stored[:, KAGGLE_543] if kaggle else stored
    other = None if skeleton is MEDIAPIPE_75 else stored if kaggle else stored[:, KAGGLE_543]
    if complaint := _complaint_about_order(points, other, skeleton):
        orders = ("body, face, left hand, right hand", "face, left hand, body, right hand")
        read_as = "body, left hand, right hand" if other is None else orders[kaggle]
        fix = f"--layout mediapipe-543{'' if kaggle else '-kaggle'}, if that is its order: {orders[not kaggle]}"
        raise UserError(
            f"{path}, read as {read_as} with x, y, z of each joint: {complaint}",
            fix="reorder the joints" if other is None else fix,
        )
    return points, skeleton


def _complaint_about_order(
    points: NDArray[np.float32], other: NDArray[np.float32] | None, skeleton: Skeleton
) -> str | None:
    """Return why joints are not in the order they are read in: a hand begins where the body's arm ends.

    Args:
        points: (T, J, 3), as they are read.
        other: in the other order that is in use, if there is one.
        skeleton: whose joints they are.
    """
    found = _wrists_apart(points, skeleton)
    elsewhere = None if other is None else _wrists_apart(other, skeleton)
    if found is None:
        return "no hand is seen together with its arm" if elsewhere and elsewhere[0] < FARTHEST else None
    own, crossed = found
    if own > FARTHEST or (elsewhere is not None and elsewhere[0] < own / 2):
        return f"hands begin {own:.2f} picture widths from their wrists"
    if crossed < own / 2:
        return "each hand begins at the other arm's wrist"
    return None


def _wrists_apart(points: NDArray[np.float32], skeleton: Skeleton) -> tuple[float, float] | None:
    """Return how far hands begin from their own arm's wrist, and from the other's; None: never seen together.

    In picture widths; the median over frames, of the hand that lies farther.
    """
    at = {name: skeleton.joints.index(name) for name in ("left_wrist", "right_wrist", "left_hand_0", "right_hand_0")}
    hands = points[:, [at["left_hand_0"], at["right_hand_0"]], None, :2]  # (T, 2, 1, 2)
    wrists = points[:, None, [at["left_wrist"], at["right_wrist"]], :2]  # (T, 1, 2, 2)
    apart = np.linalg.norm(hands - wrists, axis=-1)  # (T, 2, 2): from each hand to each wrist
    own, crossed = apart[:, (0, 1), (0, 1)], apart[:, (0, 1), (1, 0)]  # (T, 2)
    seen = np.isfinite(own) & np.isfinite(crossed)
    told = [side for side in (0, 1) if seen[:, side].sum() >= min(FEWEST, len(points))]
    if not told:
        return None
    own_apart, crossed_apart = (
        max(float(np.median(each[seen[:, side], side])) for side in told) for each in (own, crossed)
    )
    return own_apart, crossed_apart


def read_uni_sign(path: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Read a pickle ``{"keypoints": [(1, 133, 2) per frame], "scores": [(1, 133) per frame]}``, as Uni-Sign keeps them.

    Returns:
        (T, 133, 3) float32: x and y as they stand there (Uni-Sign: 0 to 1 across the picture), and the score; the first
        person of each frame, NaN where there is none. And warnings.

    Raises:
        UserError: another content, or a pickle that wants to run something.
    """
    content = load_pickle(path)
    wanted = "a dict with a list of (1, 133, 2) arrays as keypoints and one of (1, 133) arrays as scores"
    if not isinstance(content, Mapping) or not {"keypoints", "scores"} <= set(content):
        keys = ", ".join(map(str, content))[:80] if isinstance(content, Mapping) else type(content).__name__
        raise UserError(f"{path} holds {keys}, expected {wanted}")
    places, scores = content["keypoints"], content["scores"]
    kinds = (list, tuple, np.ndarray)
    if not isinstance(places, kinds) or not isinstance(scores, kinds) or not len(places) or len(places) != len(scores):
        raise UserError(f"{path} holds no frames, or as many of one kind as not of the other; expected {wanted}")
    n_joints = len(COCO_WHOLEBODY_133.joints)
    points = np.full((len(places), n_joints, 3), np.nan, np.float32)
    is_crowded = False
    for frame, (place, score) in enumerate(zip(places, scores, strict=True)):
        xy, confidence = _people(place, (n_joints, 2)), _people(score, (n_joints,))
        if xy is None or confidence is None or len(xy) != len(confidence):
            raise UserError(f"{path}: frame {frame} has keypoints of another shape, expected {wanted}")
        is_crowded |= len(xy) > 1
        if len(xy):
            points[frame, :, :2], points[frame, :, 2] = xy[0], confidence[0]
    points[~np.isfinite(points).all(axis=2)] = np.nan
    return points, [SEVERAL_PEOPLE] if is_crowded else []


def _people(value: Any, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return (N, *shape) of N people, of which there may be none; None when it is something else."""
    try:
        array = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.size == 0:
        return np.empty((0, *shape), np.float32)
    array = array[None] if array.shape == shape else array
    return array if array.shape[1:] == shape else None


def _load(path: Path, mmap_mode: Any = None) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode=mmap_mode)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, MemoryError) as error:
        fix = "save it anew with numpy.save(path, numpy.asarray(…, dtype='float32'))"
        raise UserError(f"{path} is not a whole .npy file of numbers: {error}"[:300], fix=fix) from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is an archive of arrays, expected one array", fix="save the array by numpy.save")
    return array
