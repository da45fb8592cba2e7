"""COCO-WholeBody: 133 points of body, feet, face and hands, and how many numbers a frame of them has."""

from __future__ import annotations

N_POINTS = 133
WHOLEBODY_DIM = 3 * N_POINTS  # x in picture widths, y in picture heights, and score of each
FACE = range(23, 91)
LEFT_HAND = range(91, 112)
RIGHT_HAND = range(112, 133)
