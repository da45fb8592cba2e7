"""TimeSformer: one embedding per window of a few frames."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from slt.models.checkpoint import read_weights
from slt.models.fitting import load_strict, rename
from slt.models.pictures import Pictures, check_type, weights_of


class Timesformer(nn.Module):
    """TimeSformer of transformers without its classifier.

    Args:
        folder: folder with ``config.json``, ``preprocessor_config.json`` and weights.

    Attributes:
        pictures: image preprocessing.
        num_frames: frames per window.
        feature_dim: width of an embedding.

    Raises:
        UserError: files are missing, or the folder holds another model.

    Reference: Bertasius et al. 2021, arXiv 2102.05095.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        weights = weights_of(folder)
        check_type(folder, ("timesformer",))
        from transformers import TimesformerConfig, TimesformerModel, VideoMAEImageProcessor

        config = TimesformerConfig.from_pretrained(folder, local_files_only=True)
        self.pictures = Pictures.of(VideoMAEImageProcessor.from_pretrained(folder, local_files_only=True))
        self.num_frames: int = config.num_frames
        self.feature_dim: int = config.hidden_size
        self.model = TimesformerModel(config)
        found = rename(read_weights(weights), {"timesformer.": ""})
        load_strict(self.model, found, unused=("classifier.*",), source=weights)
        self.eval()

    @torch.inference_mode()
    def forward(self, windows: Tensor) -> Tensor:
        """Embed (B, num_frames, H, W, 3) uint8 windows resized by ``pictures.fit``: (B, feature_dim).

        An embedding is the classification token after the last layer, in the weights' dtype.
        """
        pixels = self.pictures.normalise(windows).to(self.model.dtype)
        return self.model(pixel_values=pixels).last_hidden_state[:, 0]
