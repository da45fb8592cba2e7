"""Normalise keypoints: origin between the shoulders, unit their distance."""

from __future__ import annotations

import torch
from torch import Tensor

from slt.video.keypoints import N_JOINTS

LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12  # MediaPipe's numbers of them
MIDDLE, USUAL_WIDTH = 0.5, 0.25  # where a signer's shoulders mostly are in a picture, and how wide; picture widths
NARROWEST = 0.01  # picture widths; less is a mistake of the detector, and would blow everything up


def normalise(keypoints: Tensor, mask: Tensor) -> Tensor:
    """Return keypoints that depend neither on where the signer is in the picture nor on how near.

    In each clip, x and y are moved by the median middle of the shoulders and all is divided by their median distance,
    both over the frames in which the two are seen: one place and one size for the whole clip, so that leaning
    forward remains a movement. z is divided alone: a body's is measured from its hips already, a hand's from its own
    wrist. A joint of which any number is not finite counts as not seen, and becomes zeros, as padding does. A clip in
    which the shoulders are never seen together is taken to be in the middle, and of the usual size.

    x is in picture widths and y in picture heights, so pictures of one corpus should have the same proportions.

    Args:
        keypoints: (B, N, 225) float, 75 joints with x, y and z in MediaPipe Holistic's order; NaN where not seen.
        mask: (B, N) bool, True = real.

    Returns:
        (B, N, 225) float32, finite.
    """
    joints = keypoints.float().unflatten(-1, (N_JOINTS, 3))  # (B, N, 75, 3)
    seen = joints.isfinite().all(-1) & mask[:, :, None]  # (B, N, 75)
    left, right = joints[:, :, LEFT_SHOULDER, :2], joints[:, :, RIGHT_SHOULDER, :2]
    both = (seen[:, :, LEFT_SHOULDER] & seen[:, :, RIGHT_SHOULDER])[:, :, None]
    middle = _median((left + right) / 2, both).nan_to_num(nan=MIDDLE)  # (B, 2)
    width = _median((left - right).norm(dim=-1, keepdim=True), both).nan_to_num(nan=USUAL_WIDTH)  # (B, 1)
    origin = torch.nn.functional.pad(middle, (0, 1))[:, None, None]  # (B, 1, 1, 3): z stays where it is
    moved = (joints - origin) / width.clamp(min=NARROWEST)[:, None, None]
    return moved.masked_fill(~seen[..., None], 0).flatten(-2)


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """Return (B, D), the median over time of (B, N, D) values that (B, N, 1) says count; NaN where none does."""
    return values.masked_fill(~counts, torch.nan).nanmedian(dim=1).values
