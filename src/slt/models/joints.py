"""Normalise keypoints: origin between the shoulders, unit their distance."""

from __future__ import annotations

import torch
from torch import Tensor

from slt.video.keypoints import N_JOINTS

LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12  # MediaPipe's indices
DEFAULT_CENTRE, DEFAULT_WIDTH = 0.5, 0.25  # shoulder centre and distance if not detected; in image widths
MIN_WIDTH = 0.01  # image widths; smaller distances are detection errors


def normalise(keypoints: Tensor, mask: Tensor) -> Tensor:
    """Normalise keypoints by the signer's position and size.

    Per clip, the median shoulder centre is subtracted from x and y, and x, y and z are divided by the median shoulder
    distance, both over the frames with both shoulders. One origin and scale per clip preserve movements such as
    leaning forward. z is not shifted: MediaPipe measures it from the hips (body) or the wrist (hands). A joint with a
    non-finite coordinate counts as not detected and becomes zeros, like padding. If the shoulders are never detected
    together, ``DEFAULT_CENTRE`` and ``DEFAULT_WIDTH`` are used.

    x is in image widths and y in image heights, so all videos of a corpus should have the same aspect ratio.

    Args:
        keypoints: (B, N, 225) float, x, y, z of 75 joints in MediaPipe Holistic's order; NaN where not detected.
        mask: (B, N) bool, True = real.

    Returns:
        (B, N, 225) float32, finite.
    """
    joints = keypoints.float().unflatten(-1, (N_JOINTS, 3))  # (B, N, 75, 3)
    seen = joints.isfinite().all(-1) & mask[:, :, None]  # (B, N, 75)
    left, right = joints[:, :, LEFT_SHOULDER, :2], joints[:, :, RIGHT_SHOULDER, :2]
    both = (seen[:, :, LEFT_SHOULDER] & seen[:, :, RIGHT_SHOULDER])[:, :, None]
    middle = _median((left + right) / 2, both).nan_to_num(nan=DEFAULT_CENTRE)  # (B, 2)
    width = _median((left - right).norm(dim=-1, keepdim=True), both).nan_to_num(nan=DEFAULT_WIDTH)  # (B, 1)
    origin = torch.nn.functional.pad(middle, (0, 1))[:, None, None]  # (B, 1, 1, 3): z is not shifted
    moved = (joints - origin) / width.clamp(min=MIN_WIDTH)[:, None, None]
    return moved.masked_fill(~seen[..., None], 0).flatten(-2)


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """Return the (B, D) median over time of (B, N, D) values where (B, N, 1) ``counts`` is True; NaN if nowhere."""
    return values.masked_fill(~counts, torch.nan).nanmedian(dim=1).values
