"""The four parts of a whole-body skeleton that Uni-Sign reads: body, both hands and face, scaled by the body's size.

Reference: Li et al. 2025, arXiv 2501.15187, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

MIN_SCORE = 0.3
"""Points with this score or less count as not seen."""
MIN_BODY_POINTS = 4
"""Fewer body points than this in a whole clip give no scale, and its parts are all zeros."""

PARTS: Mapping[str, tuple[int, ...]] = {
    "body": (0, *range(3, 11)),  # nose, ears, shoulders, elbows, wrists
    "left": tuple(range(91, 112)),
    "right": tuple(range(112, 133)),
    "face_all": (*range(23, 40, 2), *range(83, 91), 53),  # every second point of the jaw, inner lips, tip of the nose
}
"""Part → its points among the 133 of COCO-WholeBody, ``slt.video.skeletons.COCO_WHOLEBODY_133``."""

ORIGINS: Mapping[str, int | None] = {"body": None, "left": 0, "right": 0, "face_all": -1}
"""Part → which of its own points is its origin in every frame; None: the centre of the body in the whole clip."""

_HAND = tuple((base + step - 1 if step else 0, base + step) for base in (1, 5, 9, 13, 17) for step in range(4))
_JAW, _LIPS, _NOSE = tuple(range(9)), tuple(range(9, 17)), 17
BONES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "body": ((0, 1), (0, 2), (0, 3), (0, 4), (3, 5), (4, 6), (5, 7), (6, 8)),
    "left": _HAND,
    "right": _HAND,
    "face_all": (
        *pairwise(_JAW),
        *zip(_LIPS, (*_LIPS[1:], _LIPS[0]), strict=True),
        *((_NOSE, point) for point in (*_JAW, *_LIPS)),
    ),
}
"""Part → pairs of its own points that are neighbours."""


def split(points: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Cut clips into parts of one scale.

    Args:
        points: (B, N, 399) float: x in picture widths, y in picture heights, and score of each of 133 points; NaN where
            one was not looked for.
        mask: (B, N) bool, True = real.

    Returns:
        Part → (B, N, V, 3) float32 x, y and score; x and y in -1..1, all zero where the score is too low.
    """
    seen = points.unflatten(-1, (-1, 3)).float()
    body = seen[:, :, PARTS["body"]]
    centre, scale = _box(body[..., :2], (body[..., 2] > MIN_SCORE) & mask[:, :, None])
    parts: dict[str, Tensor] = {}
    for name, rows in PARTS.items():
        xy, score = seen[:, :, rows, :2], seen[:, :, rows, 2:]
        origin = ORIGINS[name]
        zero = centre[:, None, None] if origin is None else xy[:, :, [origin]]
        # The body's box is centred in -1..1; hands and face keep half of that, about the size they have in it.
        factor = 2.0 if origin is None else 1.0
        placed = (factor * (xy - zero) / scale[:, None, None, None]).clamp(-1, 1)
        known = (score > MIN_SCORE) & (scale > 0)[:, None, None, None] & placed.isfinite().all(-1, keepdim=True)
        parts[name] = torch.where(known, torch.cat([placed, score], dim=-1), 0.0)
    return parts


def _box(xy: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, 2) centres and (B,) longer sides of the boxes around all seen points; 0 for too few."""
    seen = seen & xy.isfinite().all(-1)
    least = xy.masked_fill(~seen[..., None], torch.inf).amin((1, 2))
    most = xy.masked_fill(~seen[..., None], -torch.inf).amax((1, 2))
    enough = seen.sum((1, 2)) >= MIN_BODY_POINTS
    least, most = (torch.where(enough[:, None], side, 0.0) for side in (least, most))
    return (least + most) / 2, (most - least).amax(1)


def hop_partition(name: str) -> Tensor:
    """Return the (2, V, V) adjacency of a part: each point itself, and its neighbours; columns sum to 1 over both.

    Reference: Yan et al. 2018, arXiv 1801.07455, section 3.4 (distance partitioning).
    """
    n_points = len(PARTS[name])
    linked = torch.zeros(n_points, n_points)
    for one, other in BONES[name]:
        linked[one, other] = linked[other, one] = 1
    itself = torch.eye(n_points)
    return torch.stack([itself, linked]) / (itself + linked).sum(0)
