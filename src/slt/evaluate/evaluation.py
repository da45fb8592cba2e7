"""From hypotheses and references to results, whatever their source."""

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

FEW = ("bleu4", "chrf++")
"""What parts of a test set and controls are scored with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to evaluate.

    Attributes:
        lang: FLORES-200 code of the texts.
        metrics: by name; None: all that suit the language.
        resampling: how intervals are made.
        skip_failed: leave clips that failed out, instead of counting them as empty hypotheses.
        controls: score the system without the signing as well.
        normalise: Unicode form that hypotheses and references are brought to; None: as they are.
        training: sentences that training saw, as ``training_texts`` makes them; None: not known.
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
    """What there is to score: N sentences, and what else is known of them, row by row.

    Attributes:
        sentences: with their hypotheses.
        predicted: (N, D) embeddings of the clips, zeros where one failed; None: not known.
        targets: (N, D) embeddings of the references; None: not known.
        learned_metrics: what trained metrics make of the hypotheses.
        blanks: what the system says of blank videos as long as the clips; None: it was not asked.
        timing: how long it took.
        without_reference: ids of clips that cannot be scored.
        failures: (id, why) of the sentences without a hypothesis.
        notes: what a reader of the scores should know.
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
        """Return the same without the sentences that have no hypothesis."""
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
    """Read what some system said, from files.

    Raises:
        UserError: files that cannot be read, or do not fit each other.
    """
    sentences, unused = pair_files(hypotheses, references)
    notes = [f"{len(unused)} hypotheses have no reference, so no score: {', '.join(unused[:10])}"] if unused else []
    failures = [(one.id, UserError(one.failure)) for one in sentences if one.failure]
    return EvaluationData(sentences=sentences, failures=failures, notes=notes)


def summarise(material: EvaluationData, settings: Settings, *, system: str, source: Mapping[str, Any]) -> Results:
    """Score a system.

    Args:
        material: what it said.
        settings: how to score.
        system: what to call it.
        source: where the texts come from.

    Raises:
        UserError: an unknown metric, no sentence at all, or embeddings that are not finite.
    """
    metrics = metrics_for(settings.lang, settings.metrics)
    failed = {name: error.message for name, error in material.failures}
    if settings.skip_failed:
        material = material.without_failed()
    said, signed = ([getattr(one, text) for one in material.sentences] for text in ("hypothesis", "reference"))
    if not settings.normalise and (different := difference(said, signed)):
        log.warn(different)
        material = replace(material, notes=[*material.notes, different])
    sentences = _scored_sentences(_normalised(material.sentences, settings.normalise), settings)
    pairs = Pairs([one.hypothesis for one in sentences], [one.reference for one in sentences])
    scores = score_pairs(pairs, metrics, settings.resampling)
    if material.predicted is not None and material.targets is not None:
        in_space, cosines = space_scores(material.predicted, material.targets, settings.resampling)
        scores += in_space + learned_scores(material.learned_metrics, settings.resampling)
        sentences = [replace(one, cosine=float(cosine)) for one, cosine in zip(sentences, cosines, strict=True)]
    few = metrics_for(settings.lang, FEW)
    sign = partial(_signed, settings=settings, n_failed=len(failed))
    groups = groups_of(sentences, few, settings.resampling)
    controls, notes = _controls(material, sentences, few, settings)
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
            without_reference=tuple(material.without_reference),
        ),
        scores=sign(scores),
        groups=tuple(replace(group, scores=sign(group.scores)) for group in groups),
        controls=tuple(replace(control, scores=sign(control.scores)) for control in controls),
        repeats=repeats_of(sentences),
        timing=material.timing,
        norms=norms_of(material.predicted, material.targets),
        notes=(*material.notes, *notes),
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
    material: EvaluationData, sentences: Sequence[Sentence], metrics: Sequence[Metric], settings: Settings
) -> tuple[list[Control], list[str]]:
    """Score what the system says without the signing; and say what could not be."""
    if not settings.controls:
        return [], []
    found, notes = [], []
    if material.blanks is not None:
        texts = [normalise(text, settings.normalise) for text in material.blanks]
        blank = [replace(one, hypothesis=text) for one, text in zip(sentences, texts, strict=True)]
        about = "blank videos as long as the clips were translated instead"
        scores = score_sentences(blank, metrics, settings.resampling)
        found.append(Control(name="blank", about=about, scores=tuple(scores)))
    else:
        notes.append("no blank-video control: that takes a model and its videos")
    if len(sentences) > 1:
        order = np.random.default_rng(settings.resampling.seed).permutation(len(sentences))
        # Along one ring of all clips, so that none keeps its own.
        given = dict(zip(order, np.roll(order, 1), strict=True))
        shuffled = [replace(one, hypothesis=sentences[given[row]].hypothesis) for row, one in enumerate(sentences)]
        about = "each clip got the translation of another clip's video"
        scores = score_sentences(shuffled, metrics, settings.resampling)
        found.append(Control(name="shuffled", about=about, scores=tuple(scores)))
    else:
        notes.append("no shuffled-video control: there is one clip only")
    return found, notes


def _signed(scores: Sequence[Score], settings: Settings, n_failed: int) -> tuple[Score, ...]:
    """Add to each signature what was done about clips that failed, and how intervals were made."""
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
