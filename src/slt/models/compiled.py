"""Compile the blocks of SignHiera by torch, or say why that cannot be done here and go on without."""

from __future__ import annotations

import torch

from slt.core import log
from slt.models.signhiera import SignHiera

BACKEND = "inductor"
TRIED_WITH = 2
"""Windows of the first run: torch would make code of its own for one, and makes the same for all other numbers."""


def compile_signhiera(model: SignHiera) -> bool:
    """Compile the blocks of a model in place; its weights keep their names, its features change by rounding.

    The compiled blocks are run once, which takes a minute or so. Global attention runs
    uncompiled in a batch of one window, and of windows of different lengths.

    Returns:
        Whether that worked; if not, a warning says why.
    """
    weight = next(model.parameters())
    pixels = torch.zeros(TRIED_WITH, 3, *model.config.input_size, device=weight.device, dtype=weight.dtype)
    for block in model.blocks:
        block.compile(backend=BACKEND, dynamic=True)
    try:
        with torch.inference_mode():
            model(pixels)
    except Exception as error:  # of the compiler's many kinds: none may cost the features
        for block in model.blocks:
            block._compiled_call_impl = None
        reason = " ".join(list(filter(None, str(error).splitlines()))[:2]) or type(error).__name__
        log.warn(f"SignHiera is not compiled: {reason:.200}; going on without")
        return False
    return True
