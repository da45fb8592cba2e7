"""SigLIP's image encoder: one embedding per frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from slt.core.errors import UserError
from slt.models.fitting import load_model
from slt.models.pictures import CONFIG_NAME, PROCESSOR_NAME, Pictures, check_type, weights_of

TYPES = ("siglip", "siglip_vision_model")


@dataclass(frozen=True, kw_only=True)
class SiglipConfig:
    """Shape of a SigLIP image encoder and its preprocessing; the defaults are those of SigLIP base.

    Attributes:
        pictures: image preprocessing.
        hidden_size: width of the transformer, and of an embedding.
        intermediate_size: inner width of the feed-forward layers.
        num_hidden_layers: transformer layers.
        num_attention_heads: attention heads per layer.
        num_channels: colour channels.
        image_size: height and width of an image, in pixels.
        patch_size: height and width of a patch, in pixels.
        hidden_act: activation function, by its name in transformers.
        layer_norm_eps: of every layer norm.

    Raises:
        UserError: impossible sizes; all are listed.
    """

    pictures: Pictures
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 16
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in self.shape.items() if not isinstance(value, str)}
        mistakes = [f"{name} {value}, expected more than 0" for name, value in numbers.items() if value <= 0]
        if self.num_attention_heads > 0 and self.hidden_size % self.num_attention_heads:
            mistakes.append(f"hidden_size {self.hidden_size}, expected a multiple of {self.num_attention_heads} heads")
        if mistakes:
            raise UserError(f"bad SigLIP configuration: {'; '.join(mistakes)}")

    @property
    def shape(self) -> dict[str, int | float | str]:
        """All attributes but ``pictures``, as transformers takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "pictures"}

    @property
    def feature_dim(self) -> int:
        """Width of an embedding."""
        return self.hidden_size


class Siglip(nn.Module):
    """SigLIP image encoder of transformers.

    Attributes:
        config: shape and preprocessing.

    Reference: Zhai et al. 2023, arXiv 2303.15343.
    """

    Config: ClassVar = SiglipConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar = ("text_model.*", "logit_scale", "logit_bias")  # the text encoder

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        from transformers import SiglipVisionConfig, SiglipVisionModel

        self.config = config
        self.vision_model = SiglipVisionModel(SiglipVisionConfig(**config.shape)).vision_model
        # Position indices: not in weight files, and without values in a model built on the meta device.
        embeddings = self.vision_model.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions, device="cpu").expand(1, -1)

    @classmethod
    def from_folder(cls, folder: Path) -> Siglip:
        """Load from a transformers folder of the image encoder or of the whole SigLIP model.

        Args:
            folder: with ``config.json``, ``preprocessor_config.json`` and weights.

        Raises:
            UserError: files are missing, or the folder holds another model.
        """
        weights = weights_of(folder)
        return load_model(cls, siglip_config(folder), weights)

    @property
    def pictures(self) -> Pictures:
        """Image preprocessing."""
        return self.config.pictures

    @property
    def feature_dim(self) -> int:
        """Width of an embedding."""
        return self.config.feature_dim

    @torch.inference_mode()
    def forward(self, frames: Tensor) -> Tensor:
        """Embed (B, H, W, 3) uint8 frames resized by ``pictures.fit``: (B, feature_dim) in the weights' dtype."""
        dtype = next(self.parameters()).dtype
        return self.vision_model(pixel_values=self.pictures.normalise(frames).to(dtype)).pooler_output


def siglip_config(folder: Path) -> SiglipConfig:
    """Read the configuration of a SigLIP model in a transformers folder.

    Raises:
        UserError: files are missing, or the folder holds another model.
    """
    weights_of(folder)
    check_type(folder, TYPES)
    from transformers import SiglipImageProcessor, SiglipVisionConfig

    with _reading(folder / CONFIG_NAME):
        found = SiglipVisionConfig.from_pretrained(folder, local_files_only=True).to_dict()
        shape = {field.name: found[field.name] for field in fields(SiglipConfig) if field.name != "pictures"}
    with _reading(folder / PROCESSOR_NAME):
        pictures = Pictures.of(SiglipImageProcessor.from_pretrained(folder, local_files_only=True))
    with _reading(folder / CONFIG_NAME):
        return SiglipConfig(pictures=pictures, **shape)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Name the file in errors raised while reading it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error.message}", fix=error.fix) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:  # raised by transformers
        raise UserError(f"{file} cannot be read: {error}", fix="give --model the folder as published") from error
