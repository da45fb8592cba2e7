"""BLASER 2.0 scores of a model's translations, when its weights are available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.cards import sha256_of
from slt.assets.published import PUBLISHED_JUDGES
from slt.assets.store import Bundle, fetched_file
from slt.core.errors import UserError
from slt.core.registry import SONAR, did_you_mean
from slt.evaluate.sonar_space import LearnedMetric, Table
from slt.models.blaser import Blaser, BlaserConfig
from slt.models.fitting import load_model
from slt.text.config import SonarTextConfig

NAME = "blaser"
SHAPES: Mapping[str, BlaserConfig] = {
    "blaser_ref": BlaserConfig(with_reference=True),
    "blaser_qe": BlaserConfig(with_reference=False),
}
FILES = dict(zip(SHAPES, (file.name for file in PUBLISHED_JUDGES[NAME].files), strict=True))
LABELS = {"blaser_ref": "BLASER 2.0", "blaser_qe": "BLASER 2.0 QE"}
WORST = 1.0
"""Lowest value of the scale; score of a failed clip."""
ROWS_AT_ONCE = 1024


def split_metric_names(names: Sequence[str] | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Split requested metric names into text metrics and BLASER metrics; None if none were requested.

    Raises:
        UserError: an unknown BLASER metric.
    """
    if names is None:
        return None, None
    ours = tuple(name for name in names if name.startswith(NAME))
    for name in ours:
        if name not in SHAPES:
            raise UserError(f"unknown metric {name!r}; known: {', '.join(SHAPES)}", fix=did_you_mean(name, SHAPES))
    return tuple(name for name in names if name not in ours), ours


def choose_blasers(names: Sequence[str] | None, bundle: Bundle | None) -> tuple[str, ...]:
    """Return the BLASER metrics that can be computed; called before translating.

    Args:
        names: requested metrics; None: all available ones.
        bundle: the evaluated model; None: texts from a file, without embeddings.

    Raises:
        UserError: a requested metric is unavailable, or its weights changed since they were fetched.
    """
    if names is None:
        return tuple(name for name in SHAPES if not _unavailable(name, bundle))
    for name in names:
        if reason := _unavailable(name, bundle):
            raise reason
    return tuple(names)


def _unavailable(name: str, bundle: Bundle | None) -> UserError | None:
    """Return why a BLASER metric cannot be computed, or None."""
    if bundle is None:
        return UserError(f"{name} needs embeddings, found texts from files", fix="give --model")
    card = bundle.card
    if card.decoder.kind != SONAR:
        return UserError(
            f"{name} needs SONAR embeddings, found the decoder {card.decoder.kind} in the model {card.name}",
            fix="remove it from --metrics",
        )
    if card.decoder.text_encoder is None:
        return UserError(
            f"{name} needs embeddings of texts, found no text encoder in the model {card.name}",
            fix="slt models fetch NAME --with-text-encoder, then slt models import --name NAME",
        )
    width = SonarTextConfig.from_json({**card.decoder.config, "languages": card.languages}).encoder.model_dim
    wanted = SHAPES[name].embedding_dim
    if width != wanted:
        return UserError(
            f"{name} needs embeddings of width {wanted}, found {width} in the model {card.name}",
            fix="remove it from --metrics",
        )
    if fetched_file(NAME, FILES[name]) is None:
        return UserError(f"the weights of {name} are not installed", fix=f"slt models fetch {NAME}")
    return None


def blaser_scores(
    names: Sequence[str], clips: Table, hypotheses: Table, references: Table, *, failed: NDArray[np.bool_]
) -> list[LearnedMetric]:
    """Score the translations of N clips.

    Args:
        names: keys of ``SHAPES`` whose weights are installed.
        clips: (N, D) float32 embeddings of the clips, used as sources.
        hypotheses: (N, D) float32 embeddings of the translations.
        references: (N, D) float32 embeddings of the references.
        failed: (N,) bool, True for clips without a translation; they score ``WORST``.

    Raises:
        UserError: the weights do not fit the model.
    """
    return [_blaser_score(name, clips, hypotheses, references, failed) for name in names]


@torch.inference_mode()
def _blaser_score(
    name: str, clips: Table, hypotheses: Table, references: Table, failed: NDArray[np.bool_]
) -> LearnedMetric:
    path = fetched_file(NAME, FILES[name])
    if path is None:  # removed since `choose_blasers`
        raise UserError(f"the weights of {name} were removed", fix=f"slt models fetch {NAME}")
    model, parts = load_model(Blaser, SHAPES[name], path), []
    for start in range(0, len(clips), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        sides = [torch.from_numpy(side[rows]) for side in (clips, hypotheses, references)]
        parts.append(model(*sides[: 3 if SHAPES[name].with_reference else 2]).double().numpy())
    weights = f"{path.stem}|sha256:{sha256_of(path)[:12]}"
    return LearnedMetric(
        name=name,
        label=LABELS[name],
        signature=f"weights:{weights}|source:the clip's embedding|worst:{WORST:g}",
        values=np.where(failed, WORST, np.concatenate(parts)),
    )
