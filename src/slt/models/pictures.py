"""Preprocess images for transformers models: resize on the CPU, normalise on the device."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt.core.errors import UserError

PROCESSOR_NAME, CONFIG_NAME = "preprocessor_config.json", "config.json"
WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Parameters of an image processor.

    Attributes:
        height: resized height in pixels; None: given by ``shortest_edge``.
        width: resized width in pixels; likewise.
        shortest_edge: resized shorter edge in pixels, preserving the aspect ratio; None: given by height and width.
        crop: (height, width) of the centre crop in pixels; None: no crop.
        resample: Pillow's number of the resampling filter.
        rescale: factor applied to pixel values 0..255.
        mean: subtracted per RGB channel after rescaling.
        std: divisor per RGB channel.
    """

    height: int | None
    width: int | None
    shortest_edge: int | None
    crop: tuple[int, int] | None
    resample: int
    rescale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        sizes = [self.height, self.width, self.shortest_edge, *(self.crop or ())]
        mistakes = [f"{size} pixels, expected at least 1" for size in sizes if size is not None and size < 1]
        if self.shortest_edge is None and None in (self.height, self.width):
            mistakes.append("neither height and width nor shortest_edge is given")
        if self.resample not in range(6):
            mistakes.append(f"resample {self.resample}, expected the number of a Pillow filter, 0 to 5")
        if 0 in self.std:
            mistakes.append("std 0, expected other values")
        if mistakes:
            raise UserError(f"bad image configuration: {'; '.join(mistakes)}")

    @classmethod
    def of(cls, processor: Any) -> Pictures:
        """Return the parameters of a transformers image processor; disabled steps become identities.

        Raises:
            UserError: resizing is disabled, or parameters are impossible.
        """
        if not processor.do_resize:
            raise UserError(
                "found do_resize false in the image configuration, expected true: frames differ from the model's size",
                fix="set do_resize to true and size to the model's input size",
            )
        size = dict(processor.size)
        crop = processor.crop_size if getattr(processor, "do_center_crop", False) else None
        return cls(
            height=size.get("height"),
            width=size.get("width"),
            shortest_edge=size.get("shortest_edge"),
            crop=(crop["height"], crop["width"]) if crop else None,
            resample=int(processor.resample),
            rescale=processor.rescale_factor if processor.do_rescale else 1.0,
            mean=tuple(processor.image_mean) if processor.do_normalize else (0.0, 0.0, 0.0),
            std=tuple(processor.image_std) if processor.do_normalize else (1.0, 1.0, 1.0),
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of a preprocessed square frame."""
        return self.fit(np.zeros((64, 64, 3), np.uint8)).nbytes

    def fit(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and centre-crop a (H, W, 3) uint8 frame: (height, width, 3) uint8."""
        from transformers.image_transforms import resize

        size: Any = self._size(*frame.shape[:2])
        resample: Any = self.resample
        picture = np.asarray(resize(frame, size, resample=resample, input_data_format="channels_last"))
        if self.crop:
            height, width = self.crop
            top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
            picture = picture[top : top + height, left : left + width]
        return picture

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) in pixels that an image of this size is resized to."""
        if self.shortest_edge is None:
            return self.height or height, self.width or width
        short, long = sorted((height, width))
        other = int(self.shortest_edge * long / short)
        return (other, self.shortest_edge) if width <= height else (self.shortest_edge, other)

    def normalise(self, pictures: Tensor) -> Tensor:
        """Normalise (..., H, W, 3) uint8 images: (..., 3, H, W) float32."""
        mean, std = (_on_device(tuple(rgb), pictures.device) for rgb in (self.mean, self.std))
        return ((pictures.float() * self.rescale - mean) / std).movedim(-1, -3)


@functools.cache
def _on_device(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers as a tensor; copied once, since a GPU would be waited for each time."""
    with torch.inference_mode(False):
        return torch.tensor(numbers, device=device)


def weights_of(folder: Path) -> Path:
    """Return the weight file of a transformers model folder; checks that the configuration files exist.

    Raises:
        UserError: files are missing.
    """
    found = next((folder / name for name in WEIGHTS_NAMES if (folder / name).is_file()), None)
    missing = [name for name in (CONFIG_NAME, PROCESSOR_NAME) if not (folder / name).is_file()]
    missing += [] if found else [" or ".join(WEIGHTS_NAMES)]
    if found is None or missing:
        raise UserError(
            f"{folder} is not the folder of a transformers model: {', '.join(missing)} missing",
            fix="give --model a folder with weights, config.json and preprocessor_config.json, as published",
        )
    return found


def check_type(folder: Path, known: tuple[str, ...]) -> None:
    """Check that the model type of the configuration in ``folder`` is one of ``known``.

    Raises:
        UserError: it is not, or cannot be read.
    """
    try:
        content = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
        found = content.get("model_type") if isinstance(content, dict) else None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG_NAME} is not JSON: {error}") from error
    if found not in known:
        raise UserError(f"{folder} holds a model of type {found!r}, expected {' or '.join(known)}")
