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
"""The scale's lowest value, which a clip gets that failed."""
ROWS_AT_ONCE = 1024


def split_metric_names(names: Sequence[str] | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Part the names of metrics that were requested into those of texts and BLASER's; None asks for nothing.

    Raises:
        UserError: a BLASER that there is not.
    """
    if names is None:
        return None, None
    ours = tuple(name for name in names if name.startswith(NAME))
    for name in ours:
        if name not in SHAPES:
            raise UserError(f"unknown metric {name!r}; known: {', '.join(SHAPES)}", fix=did_you_mean(name, SHAPES))
    return tuple(name for name in names if name not in ours), ours


def choose_blasers(names: Sequence[str] | None, bundle: Bundle | None) -> tuple[str, ...]:
    """Return which BLASERs can blaser_scores, before anything is translated for them.

    Args:
        names: those that were requested; None: those that can, whichever they are.
        bundle: whose translations; None: texts from a file, of which there are no embeddings.

    Raises:
        UserError: one that was asked for cannot; or its weights changed since they were fetched.
    """
    if names is None:
        return tuple(name for name in SHAPES if not _unavailable(name, bundle))
    for name in names:
        if reason := _unavailable(name, bundle):
            raise reason
    return tuple(names)


def _unavailable(name: str, bundle: Bundle | None) -> UserError | None:
    """Return why a BLASER cannot blaser_scores."""
    if bundle is None:
        return UserError(f"{name} judges embeddings, which texts from files come without", fix="give --model")
    card = bundle.card
    if card.decoder.kind != SONAR:
        return UserError(
            f"{name} judges embeddings of SONAR's, and the model {card.name} writes with {card.decoder.kind}",
            fix="leave it out of --metrics",
        )
    if card.decoder.text_encoder is None:
        return UserError(
            f"{name} judges embeddings of texts, and the model {card.name} came without a text encoder",
            fix="slt models fetch NAME --with-text-encoder, then slt models import --name NAME",
        )
    width = SonarTextConfig.from_json({**card.decoder.config, "languages": card.languages}).encoder.model_dim
    wanted = SHAPES[name].embedding_dim
    if width != wanted:
        return UserError(
            f"{name} judges embeddings of SONAR's, {wanted} wide; those of {card.name} are {width} wide",
            fix="leave it out of --metrics",
        )
    if fetched_file(NAME, FILES[name]) is None:
        return UserError(f"the weights of {name} are not here", fix=f"slt models fetch {NAME}")
    return None


def blaser_scores(
    names: Sequence[str], clips: Table, hypotheses: Table, references: Table, *, failed: NDArray[np.bool_]
) -> list[LearnedMetric]:
    """Judge the translations of N clips.

    Args:
        names: keys of ``SHAPES``, whose weights are here.
        clips: (N, D) the model's embeddings of them, as sources.
        hypotheses: (N, D) of its translations.
        references: (N, D).
        failed: (N,) True: there is no translation, which is ``WORST``.

    Raises:
        UserError: weights of something else.
    """
    return [_blaser_score(name, clips, hypotheses, references, failed) for name in names]


@torch.inference_mode()
def _blaser_score(
    name: str, clips: Table, hypotheses: Table, references: Table, failed: NDArray[np.bool_]
) -> LearnedMetric:
    path = fetched_file(NAME, FILES[name])
    if path is None:  # it was, when it was chosen
        raise UserError(f"the weights of {name} are gone", fix=f"slt models fetch {NAME}")
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
