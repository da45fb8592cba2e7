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
    """The features a model contains.

    Attributes:
        mean: (D,) float32, the mean feature.
        precision: (D, D) float32, the inverse covariance of single features.
        threshold: () float32; a clip whose `distance` lies above it is not of this domain.
    """

    mean: Tensor
    precision: Tensor
    threshold: Tensor

    def distance(self, features: Tensor) -> float:
        """Return the mean squared Mahalanobis distance of a clip's (N, D) features, about D for a known one."""
        away = features.float().cpu() - self.mean
        return float(((away @ self.precision) * away).sum(dim=1).mean())

    def contains(self, features: Tensor) -> bool:
        """Return whether a clip with these (N, D) features looks like the training clips."""
        return self.distance(features) <= float(self.threshold)


def fit_domain(clips: Sequence[Tensor]) -> dict[str, Tensor]:
    """Describe the features of training clips, so that foreign videos can be told from them.

    Mean and covariance come from four clips of every five; the threshold is the largest distance among the clips
    left out, with a margin, because a clip that helped to fit the covariance looks nearer than a new one does.

    Args:
        clips: at least 5 clips' features, each (N_i, D).

    Returns:
        The tensors of a `Domain` by name, to be saved beside the bundle's weights.

    Raises:
        UserError: too few clips.

    Reference: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples" (section 2.1),
        with one class.
    """
    if len(clips) < 5:
        raise UserError(f"a domain is fitted on at least 5 clips, not {len(clips)}", fix="make more clips")
    fitted = torch.cat([clip for k, clip in enumerate(clips) if k % 5]).double().cpu()
    mean = fitted.mean(dim=0)
    covariance = torch.atleast_2d(torch.cov(fitted.T))
    # Directions in which the clips hardly vary would make any new clip look infinitely far.
    covariance += SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
    precision = torch.linalg.inv(covariance)
    unbounded = Domain(mean=mean.float(), precision=precision.float(), threshold=torch.tensor(torch.inf))
    farthest = max(unbounded.distance(clip) for clip in clips[::5])
    return {"mean": unbounded.mean, "precision": unbounded.precision, "threshold": torch.tensor(MARGIN * farthest)}
