"""Demo, stage 3: train the sign encoder against the frozen text encoder's sentence embeddings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from slt.core.tensors import FeatureBatch
from slt.demo.plan import ENCODER, DemoPlan
from slt.models.sonar_t5 import SonarT5
from slt.train.steps import Figures, Steps, train_steps

FEATURE_NOISE = 0.5  # in standard deviations of the features
DROPPED_ROWS = 0.2  # share of a clip's rows left out at random


def train_encoder(
    plan: DemoPlan,
    features: Sequence[Tensor],
    targets: Tensor,
    *,
    checkpoint: Path,
    on_step: Callable[[int, Figures], None],
) -> SonarT5:
    """Train a sign encoder to the embeddings of its clips' sentences, by squared distance.

    Args:
        plan: sizes and steps.
        features: (N_i, feature_dim) float32 of each clip.
        targets: (clips, D) float32, from the frozen text encoder.
        checkpoint: see ``train_steps``.
        on_step: see ``train_steps``.

    Reference: Duquenne et al. 2023, arXiv 2308.11466, section 4 (teacher and student).
    """
    torch.manual_seed(plan.seed)
    model = SonarT5(ENCODER)
    spread, variance = torch.cat(list(features)).std(0), targets.var(0).mean()

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, Figures]:
        chosen = rng.choices(range(len(features)), k=plan.encoder_batch)
        batch = FeatureBatch.of([_disturbed(features[i], spread) for i in chosen])
        loss = (model(batch).sentence - targets[chosen]).square().mean() / variance
        return loss, {"distance": loss.item()}

    steps = Steps(n_steps=plan.encoder_steps, learning_rate=1e-3, weight_decay=0.05, seed=plan.seed)
    train_steps(model, loss_of, steps, checkpoint=checkpoint, on_step=on_step)
    return model


def _disturbed(clip: Tensor, spread: Tensor) -> Tensor:
    """Leave out rows of (N, D) features at random, and add noise to the rest."""
    kept = clip[torch.rand(len(clip)) >= DROPPED_ROWS]
    kept = kept if len(kept) else clip
    return kept + FEATURE_NOISE * spread * torch.randn_like(kept)
