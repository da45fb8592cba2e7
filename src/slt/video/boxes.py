"""Bounding boxes of faces and signers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from slt.video.base import Frame


class Box(NamedTuple):
    """A rectangle in pixels, x to the right and y down; it may leave the picture."""

    x1: float
    y1: float
    x2: float
    y2: float


Detector: TypeAlias = Callable[[Frame], list[Box]]
"""Takes a (H, W, 3) uint8 RGB frame, returns the faces in it, in pixels, last column and row included; may be called
by several threads at once."""


def grow(face: Box, *, up: float = 1.0, down: float = 3.0, left: float = 1.5, right: float = 1.5) -> Box:
    """Grow a face to the signing space around it.

    Args:
        face: a detected face; its last column and row belong to it, so (50, 50, 50, 50) is one pixel wide.
        up: by how many face heights to grow upwards; ``down`` likewise.
        down: see ``up``.
        left: by how many face widths to grow to the left; ``right`` likewise.
        right: see ``left``.
    """
    width, height = face.x2 - face.x1 + 1, face.y2 - face.y1 + 1
    return Box(face.x1 - width * left, face.y1 - height * up, face.x2 + width * right, face.y2 + height * down)


def mean_box(boxes: Sequence[Box]) -> Box:
    """Return the mean of one or more boxes, coordinate by coordinate."""
    return Box(*np.array(boxes, dtype=np.float64).mean(axis=0).tolist())


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes, 0 to 1, last column and row included."""
    shared = _area(Box(max(a.x1, b.x1), max(a.y1, b.y1), min(a.x2, b.x2), min(a.y2, b.y2)))
    return shared / (_area(a) + _area(b) - shared)


def centre_box(height: int, width: int) -> Box:
    """Return the square of half the short side in the middle of a picture: where a signer is when no face is seen.

    A picture under four pixels high or wide has no such square and is taken whole.
    """
    half = min(height, width) // 2 // 2
    if half == 0:
        return Box(0, 0, width, height)
    x, y = width // 2, height // 2
    return Box(x - half, y - half, x + half, y + half)


def _area(box: Box) -> float:
    """Return the area of a box in pixels, 0 for one that is inside out."""
    return max(0, box.x2 - box.x1 + 1) * max(0, box.y2 - box.y1 + 1)
