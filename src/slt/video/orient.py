"""Rotate and flip decoded pictures by the display matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slt.video.base import Frame


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One of the eight ways to hold a picture: first swap rows and columns, then mirror.

    Attributes:
        swap: rows become columns.
        mirror_x: mirror left and right, after the swap.
        mirror_y: mirror top and bottom, after the swap.
    """

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def apply(self, frame: Frame) -> Frame:
        """Return the (H, W, 3) uint8 frame turned, as a view; (W, H, 3) where rows and columns are swapped."""
        turned = frame.swapaxes(0, 1) if self.swap else frame
        return turned[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after the turn."""
        return (width, height) if self.swap else (height, width)


def turn_of(matrix: Sequence[int]) -> Turn:
    """Return the turn nearest to a display matrix.

    Args:
        matrix: nine integers row by row, FFmpeg's and the mp4 file's layout: a point (x, y) is shown at
            ``(m0 x + m3 y, m1 x + m4 y)``. Anything between two quarter turns goes to the nearer one.
    """
    x_from_x, y_from_x, x_from_y, y_from_y = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(x_from_x) + abs(y_from_y) >= abs(x_from_y) + abs(y_from_x):
        return Turn(mirror_x=x_from_x < 0, mirror_y=y_from_y < 0)
    return Turn(swap=True, mirror_x=x_from_y < 0, mirror_y=y_from_x < 0)
