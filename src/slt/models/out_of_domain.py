"""Detect out-of-domain videos by Mahalanobis distance in feature space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from slt.core.errors import UserError

MARGIN = 1.5
SHRINKAGE = 0.01


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Gaussian model of the features of the training clips.

    Attributes:
        mean: (D,) float32, the mean feature.
        precision: (D, D) float32, the inverse covariance of single features.
        threshold: () float32; a clip with a larger `distance` is out of domain.
    """

    mean: Tensor
    precision: Tensor
    threshold: Tensor

    def distance(self, features: Tensor) -> float:
        """Return the mean squared Mahalanobis distance of a clip's (N, D) features; about D in domain."""
        centred = features.float().cpu() - self.mean
        return float(((centred @ self.precision) * centred).sum(dim=1).mean())

    def contains(self, features: Tensor) -> bool:
        """Return whether a clip with these (N, D) features is in domain."""
        return self.distance(features) <= float(self.threshold)


def fit_domain(clips: Sequence[Tensor]) -> dict[str, Tensor]:
    """Fit a `Domain` to the features of training clips.

    Mean and covariance are fitted on four of every five clips. The threshold is ``MARGIN`` times the largest distance
    among the held-out clips, because clips used for fitting have smaller distances than new ones.

    Args:
        clips: features of at least 5 clips, each (N_i, D) float.

    Returns:
        Name → tensor of a `Domain`, saved beside the bundle's weights.

    Raises:
        UserError: too few clips.

    Reference: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples" (section 2.1),
        with one class.
    """
    if len(clips) < 5:
        raise UserError(f"found {len(clips)} clips to fit a domain, expected at least 5", fix="give more clips")
    fitted = torch.cat([clip for k, clip in enumerate(clips) if k % 5]).double().cpu()
    mean = fitted.mean(dim=0)
    covariance = torch.atleast_2d(torch.cov(fitted.T))
    # Shrinkage: directions with almost no variance would give new clips huge distances.
    covariance += SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
    precision = torch.linalg.inv(covariance)
    model = Domain(mean=mean.float(), precision=precision.float(), threshold=torch.tensor(torch.inf))
    largest = max(model.distance(clip) for clip in clips[::5])
    return {"mean": model.mean, "precision": model.precision, "threshold": torch.tensor(MARGIN * largest)}
