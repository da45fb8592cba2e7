"""The pretend accelerator for Lightning, which knows CUDA by name."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.plugins.precision import MixedPrecision

from tests.pretend.device import NAME


class PretendAccelerator(Accelerator):
    """One device, always there."""

    def setup_device(self, device: torch.device) -> None:
        pass

    def teardown(self) -> None:
        pass

    @staticmethod
    def parse_devices(devices: Any) -> int:
        return int(devices)

    @staticmethod
    def get_parallel_devices(devices: int) -> list[torch.device]:
        return [torch.device(NAME, index) for index in range(devices)]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}


def register() -> None:
    """Let Lightning train on it, with autocast and scaling of its own."""
    if NAME in AcceleratorRegistry:
        return
    AcceleratorRegistry.register(NAME, PretendAccelerator)
    genuine = MixedPrecision.__init__

    def init(self: MixedPrecision, precision: Any, device: str, scaler: Any = None) -> None:
        genuine(self, precision, NAME if device == "cuda" else device, scaler)

    MixedPrecision.__init__ = init  # type: ignore[method-assign]
