"""SigLIP's image encoder: one embedding per frame."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from slt.models.checkpoint import load_strict, read_weights
from slt.models.pictures import Pictures, check_type, weights_of

TYPES = ("siglip", "siglip_vision_model")
OTHER_HALF = ("text_model.*", "logit_scale", "logit_bias")


class Siglip(nn.Module):
    """The image half of a SigLIP, as transformers keeps it: from its own folder, or from that of the whole model.

    Args:
        folder: with ``config.json``, ``preprocessor_config.json`` and weights.

    Attributes:
        pictures: how it wants frames.
        feature_dim: width of an embedding.

    Raises:
        UserError: the folder lacks something, or holds another model.

    Reference: Zhai et al. 2023, arXiv 2303.15343.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        weights = weights_of(folder)
        check_type(folder, TYPES)
        from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

        config = SiglipVisionConfig.from_pretrained(folder, local_files_only=True)
        self.pictures = Pictures.of(SiglipImageProcessor.from_pretrained(folder, local_files_only=True))
        self.feature_dim: int = config.hidden_size
        self.model = SiglipVisionModel(config)
        load_strict(self.model, read_weights(weights), may_be_extra=OTHER_HALF, source=weights)
        self.eval()

    @torch.inference_mode()
    def forward(self, frames: Tensor) -> Tensor:
        """Embed (B, H, W, 3) uint8 frames, fitted by ``pictures``: (B, feature_dim), in the weights' dtype."""
        pixels = self.pictures.normalise(frames).to(self.model.dtype)
        return self.model(pixel_values=pixels).pooler_output
