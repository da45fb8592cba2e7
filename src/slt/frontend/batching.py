"""How many inputs are computed together: by the free memory of an accelerator, one at a time on a CPU."""

from __future__ import annotations

import torch

from slt.core.device import free_bytes

# On a CPU one full-size window (19 MB) keeps every core busy, and with one input at a time the features are
# bit-identical however the clips are divided over workers.
CPU_BATCH = 1
SHARE_OF_FREE = 0.7
WORK_BYTES = 75
"""Memory for each byte of pixels, in float32: SignHiera takes 1.1 GB for a full window of 19 MB, and some to spare."""
MOST_BYTES = 640_000_000
"""Pixels of one batch at most, 33 full windows: more of them compute no faster, and wait in pinned memory."""


def batch_size(device: torch.device, input_bytes: int, itemsize: int = 4) -> int:
    """Return how many inputs are computed together.

    Args:
        device: where; its free memory counts.
        input_bytes: bytes of pixels of one input.
        itemsize: bytes of a number of the model.
    """
    free = free_bytes(device)
    if free is None:
        return CPU_BATCH
    fits = int(SHARE_OF_FREE * free) * 4 // (WORK_BYTES * itemsize * input_bytes)
    return max(1, min(fits, MOST_BYTES // input_bytes))
