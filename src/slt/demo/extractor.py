"""Demo, stage 2: pre-train SignHiera to classify signs, their parts and head cues."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from slt.data.synthetic.grammar import CUES
from slt.data.synthetic.labels import NO_SIGN
from slt.data.synthetic.lexicon import HANDS, HANDSHAPES, MOVEMENTS, PLACES, SIGNS
from slt.demo.pixels import LabelledWindow, to_batch
from slt.demo.plan import EXTRACTOR, DemoPlan
from slt.models.signhiera import SignHiera
from slt.train.steps import Figures, Steps, train_steps

PARTS = (tuple(SIGNS), tuple(HANDSHAPES), tuple(PLACES), MOVEMENTS, HANDS)
BETWEEN_SIGNS = 0.3  # weight of the rows in which no sign is made
SHIFT = 5  # pixels by which a window is moved at random
FEATURE_BATCH = 16


def train_extractor(
    plan: DemoPlan,
    windows: Sequence[LabelledWindow],
    *,
    checkpoint: Path,
    on_step: Callable[[int, Figures], None],
) -> SignHiera:
    """Pre-train a SignHiera on labelled windows, in bfloat16 where a product allows it.

    Args:
        plan: sizes and steps.
        windows: of the train split.
        checkpoint: see ``train_steps``.
        on_step: see ``train_steps``.
    """
    torch.manual_seed(plan.seed)
    model, judge = SignHiera(EXTRACTOR), _Judge(EXTRACTOR.feature_dim)

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, Figures]:
        batch = _batch(windows, plan.extractor_batch, plan.seed, step)
        n_rows = min(window.n_rows for window in batch)
        frames, signs, cues = zip(*(_cropped(window, n_rows, rng) for window in batch), strict=True)
        pixels, padding = to_batch(frames, EXTRACTOR)
        # On a CPU the fused attention's backward pass is the slowest part of so small a model.
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            features = model(pixels, padding).features
        loss: tuple[Tensor, Figures] = judge(
            features.float(), torch.from_numpy(np.stack(signs)), torch.from_numpy(np.stack(cues))
        )
        return loss

    steps = Steps(n_steps=plan.extractor_steps, learning_rate=1.5e-3, weight_decay=0.05, seed=plan.seed)
    train_steps(nn.ModuleList([model, judge]), loss_of, steps, checkpoint=checkpoint, on_step=on_step)
    return model


@torch.inference_mode()
def features_of(
    model: SignHiera,
    windows: Sequence[LabelledWindow],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Tensor]:
    """Return the (N, feature_dim) float32 features of each clip, its windows joined."""
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].pixels))
    rows: dict[int, Tensor] = {}
    for start in range(0, len(order), FEATURE_BATCH):
        part = order[start : start + FEATURE_BATCH]
        pixels, padding = to_batch([windows[i].pixels for i in part], EXTRACTOR)
        rows.update(zip(part, model(pixels, padding).clips(), strict=True))
        if progress:
            progress(len(rows), len(windows))
    clips: dict[int, list[Tensor]] = {}
    for i, window in enumerate(windows):
        clips.setdefault(window.clip, []).append(rows[i].clone())
    return [torch.cat(clips[clip]) for clip in sorted(clips)]


class _Judge(nn.Module):
    """Reads signs, their parts and cues off single features; needed for training only."""

    parts: Tensor

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.sizes = [len(part) + 1 for part in PARTS]
        self.read = nn.Sequential(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, sum(self.sizes) + len(CUES)))
        # (signs + 1, parts): which class of each part a sign is of, 0 for no sign
        parts = [[NO_SIGN] * len(PARTS)]
        for number, sign in enumerate(SIGNS.values(), start=1):
            named = (sign.handshape, sign.place, sign.movement, sign.hands)
            parts.append([number, *(1 + table.index(name) for table, name in zip(PARTS[1:], named, strict=True))])
        self.register_buffer("parts", torch.tensor(parts))

    def forward(self, features: Tensor, signs: Tensor, cues: Tensor) -> tuple[Tensor, Figures]:
        """Return the loss of (B, N, D) features for (B, N) signs and (B, N, 3) cues, and figures."""
        *logits, shown = self.read(features).split([*self.sizes, len(CUES)], dim=-1)
        losses = []
        for part, scores in enumerate(logits):
            weight = torch.ones(self.sizes[part])
            weight[NO_SIGN] = BETWEEN_SIGNS
            losses.append(F.cross_entropy(scores.flatten(0, 1), self.parts[signs][..., part].flatten(), weight=weight))
        cue_loss = F.binary_cross_entropy_with_logits(shown, cues)
        signing = signs != NO_SIGN
        right = (logits[0].argmax(-1) == signs)[signing].float().mean()
        loss = losses[0] + 0.5 * sum(losses[1:]) + 4.0 * cue_loss
        return loss, {"signs right": right.item(), "cue loss": cue_loss.item()}


def _batch(windows: Sequence[LabelledWindow], size: int, seed: int, step: int) -> list[LabelledWindow]:
    """Return the batch of one step: windows of like length, every window once an epoch."""
    size = min(size, len(windows))
    epoch, number = divmod(step, len(windows) // size)
    rng = random.Random(f"{seed}-epoch-{epoch}")
    order = sorted(range(len(windows)), key=lambda i: windows[i].n_rows + 3 * rng.random())
    starts = list(range(0, len(order) - size + 1, size))
    rng.shuffle(starts)
    return [windows[i] for i in order[starts[number] : starts[number] + size]]


def _cropped(window: LabelledWindow, n_rows: int, rng: random.Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels, signs and cues of ``n_rows`` rows somewhere in a window, the picture moved a little."""
    first = rng.randint(0, window.n_rows - n_rows)
    rows = slice(first, first + n_rows)
    moved = (rng.randint(-SHIFT, SHIFT), rng.randint(-SHIFT, SHIFT))
    pixels = np.roll(window.pixels[2 * first : 2 * (first + n_rows)], moved, axis=(1, 2))
    return pixels, window.signs[rows], window.cues[rows]
