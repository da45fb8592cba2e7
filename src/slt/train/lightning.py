"""What is used of Lightning, imported without the libraries that its metrics name and that are never used here."""

from __future__ import annotations

from slt.core.deferred import deferred

# Of torchmetrics, which Lightning imports whole, no metric is used; its metrics of pictures, sounds and texts import
# torchvision and transformers, which takes longer than Lightning itself.
_KINDS = (
    "audio",
    "clustering",
    "detection",
    "image",
    "multimodal",
    "nominal",
    "segmentation",
    "shape",
    "text",
    "video",
)
_METRICS = [f"torchmetrics.{room}{kind}" for room in ("", "functional.") for kind in _KINDS]

with deferred("torchvision", "transformers", *_METRICS):
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, SingleDeviceStrategy, Strategy

__all__ = [
    "Callback",
    "CheckpointIO",
    "ClusterEnvironment",
    "DDPStrategy",
    "LightningEnvironment",
    "LightningModule",
    "ModelParallelStrategy",
    "SLURMEnvironment",
    "SingleDeviceStrategy",
    "Strategy",
    "TorchElasticEnvironment",
    "Trainer",
]
