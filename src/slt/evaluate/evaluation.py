"""Compute results from hypotheses and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.runs import environment
from slt.data.unicode_forms import Form, difference, normalise
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.diagnostics import comparable, groups_of, repeats_of, score_sentences
from slt.evaluate.results import Clips, Control, Results, Sentence, Timing, identity_of
from slt.evaluate.sonar_space import LearnedMetric, learned_scores, norms_of, space_scores
from slt.evaluate.text_metrics import Metric, Pairs, Score, metrics_for, score_pairs, sentence_scores
from slt.evaluate.texts import pair_files

GROUP_METRICS = ("bleu4", "chrf++")
"""Metrics of groups of clips and of controls."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of an evaluation.

    Attributes:
        lang: FLORES-200 code of the texts.
        metrics: metric names; None: all that suit the language.
        resampling: settings of confidence intervals.
        skip_failed: exclude failed clips instead of counting them as empty hypotheses.
        controls: also score blank and shuffled videos.
        normalise: Unicode normal form applied to hypotheses and references; None: no normalisation.
        training: training sentences from ``training_texts``; None: unknown.
    """

    lang: str
    metrics: tuple[str, ...] | None = None
    resampling: Resampling = field(default_factory=Resampling)
    skip_failed: bool = False
    controls: bool = False
    normalise: Form | None = None
    training: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """Input of scoring: N sentences and data aligned with them.

    Attributes:
        sentences: sentences with their hypotheses.
        predicted: (N, D) float32 embeddings of the clips, zeros for failed clips; None: not available.
        targets: (N, D) float32 embeddings of the references; None: not available.
        learned_metrics: values of learned metrics.
        blanks: translations of blank videos of the clips' lengths; None: not computed.
        timing: translation times.
        without_reference: ids of clips that cannot be scored.
        failures: (id, error) of the sentences without a hypothesis.
        notes: remarks for readers of the scores.
    """

    sentences: Sequence[Sentence]
    predicted: NDArray[np.float32] | None = None
    targets: NDArray[np.float32] | None = None
    learned_metrics: Sequence[LearnedMetric] = ()
    blanks: Sequence[str] | None = None
    timing: Timing | None = None
    without_reference: Sequence[str] = ()
    failures: Sequence[tuple[str, SltError]] = ()
    notes: Sequence[str] = ()

    def without_failed(self) -> EvaluationData:
        """Return a copy without failed sentences."""
        good = [row for row, one in enumerate(self.sentences) if one.failure is None]
        return replace(
            self,
            sentences=[self.sentences[row] for row in good],
            predicted=None if self.predicted is None else self.predicted[good],
            targets=None if self.targets is None else self.targets[good],
            learned_metrics=[replace(one, values=one.values[good]) for one in self.learned_metrics],
            blanks=None if self.blanks is None else [self.blanks[row] for row in good],
        )


def read_files(hypotheses: Path, references: Path | None) -> EvaluationData:
    """Read hypotheses and references from files.

    Raises:
        UserError: files cannot be read or do not match.
    """
    sentences, unused = pair_files(hypotheses, references)
    note = f"not scored, without a reference: {len(unused)} of the hypotheses, {', '.join(unused[:10])}"
    failures = [(one.id, UserError(one.failure)) for one in sentences if one.failure]
    return EvaluationData(sentences=sentences, failures=failures, notes=[note] if unused else [])


def summarise(data: EvaluationData, settings: Settings, *, system: str, source: Mapping[str, Any]) -> Results:
    """Score a system.

    Args:
        data: its hypotheses and references.
        settings: settings of the evaluation.
        system: display name of the system.
        source: origin of the texts.

    Raises:
        UserError: an unknown metric, no sentence, or non-finite embeddings.
    """
    metrics = metrics_for(settings.lang, settings.metrics)
    failed = {name: error.message for name, error in data.failures}
    if settings.skip_failed:
        data = data.without_failed()
    hypotheses, references = ([getattr(one, text) for one in data.sentences] for text in ("hypothesis", "reference"))
    if not settings.normalise and (different := difference(hypotheses, references)):
        log.warn(different)
        data = replace(data, notes=[*data.notes, different])
    sentences = _scored_sentences(_normalised(data.sentences, settings.normalise), settings)
    pairs = Pairs([one.hypothesis for one in sentences], [one.reference for one in sentences])
    scores = score_pairs(pairs, metrics, settings.resampling)
    if data.predicted is not None and data.targets is not None:
        in_space, cosines = space_scores(data.predicted, data.targets, settings.resampling)
        scores += in_space + learned_scores(data.learned_metrics, settings.resampling)
        sentences = [replace(one, cosine=float(cosine)) for one, cosine in zip(sentences, cosines, strict=True)]
    group_metrics = metrics_for(settings.lang, GROUP_METRICS)
    sign = partial(_signed, settings=settings, n_failed=len(failed))
    groups = groups_of(sentences, group_metrics, settings.resampling)
    controls, notes = _controls(data, sentences, group_metrics, settings)
    return Results(
        slt=version("slt"),
        system=system,
        lang=settings.lang,
        source=source,
        clips=Clips(
            n=len(sentences),
            sha256=identity_of(sentences),
            failed=failed,
            counting="skipped" if settings.skip_failed else "empty",
            without_reference=tuple(data.without_reference),
        ),
        scores=sign(scores),
        groups=tuple(replace(group, scores=sign(group.scores)) for group in groups),
        controls=tuple(replace(control, scores=sign(control.scores)) for control in controls),
        repeats=repeats_of(sentences),
        timing=data.timing,
        norms=norms_of(data.predicted, data.targets),
        notes=(*data.notes, *notes),
        resampling=settings.resampling,
        environment=environment(),
        sentences=tuple(sentences),
    )


def _normalised(sentences: Sequence[Sentence], form: Form | None) -> list[Sentence]:
    return [
        replace(one, hypothesis=normalise(one.hypothesis, form), reference=normalise(one.reference, form))
        for one in sentences
    ]


def _scored_sentences(sentences: Sequence[Sentence], settings: Settings) -> list[Sentence]:
    pairs = Pairs([one.hypothesis for one in sentences], [one.reference for one in sentences])
    found = zip(sentences, *sentence_scores(pairs, settings.lang), strict=True)
    seen = settings.training
    return [
        replace(
            one,
            bleu=float(bleu),
            chrf=float(chrf),
            seen=None if seen is None else comparable(one.reference) in seen,
        )
        for one, bleu, chrf in found
    ]


def _controls(
    data: EvaluationData, sentences: Sequence[Sentence], metrics: Sequence[Metric], settings: Settings
) -> tuple[list[Control], list[str]]:
    """Return the scores of control experiments, and notes about those that were not possible."""
    if not settings.controls:
        return [], []
    found, notes = [], []
    if data.blanks is not None:
        texts = [normalise(text, settings.normalise) for text in data.blanks]
        blank = [replace(one, hypothesis=text) for one, text in zip(sentences, texts, strict=True)]
        about = "blank videos of the clips' lengths were translated instead"
        scores = score_sentences(blank, metrics, settings.resampling)
        found.append(Control(name="blank", about=about, scores=tuple(scores)))
    else:
        notes.append("no blank-video control: it needs a model and videos")
    if len(sentences) > 1:
        order = np.random.default_rng(settings.resampling.seed).permutation(len(sentences))
        # A cyclic permutation, so that no clip keeps its own.
        given = dict(zip(order, np.roll(order, 1), strict=True))
        shuffled = [replace(one, hypothesis=sentences[given[row]].hypothesis) for row, one in enumerate(sentences)]
        about = "each clip was scored with the translation of another clip"
        scores = score_sentences(shuffled, metrics, settings.resampling)
        found.append(Control(name="shuffled", about=about, scores=tuple(scores)))
    else:
        notes.append("no shuffled-video control: there is only one clip")
    return found, notes


def _signed(scores: Sequence[Score], settings: Settings, n_failed: int) -> tuple[Score, ...]:
    """Append the treatment of failed clips and the resampling settings to each signature."""
    suffix = ""
    if settings.skip_failed:
        suffix = f"|failed:{n_failed} skipped"
    elif n_failed:
        suffix = f"|failed:{n_failed} empty"
    if settings.normalise:
        suffix += f"|norm:{settings.normalise}"
    if settings.resampling.resamples:
        suffix += f"|bs:{settings.resampling.resamples}|seed:{settings.resampling.seed}"
    return tuple(replace(score, signature=score.signature + suffix) for score in scores)
