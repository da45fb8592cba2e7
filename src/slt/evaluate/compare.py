"""Compare systems on the same clips: score differences, significance, and the sentences that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slt.core.errors import UserError
from slt.evaluate.bootstrap import Difference, Resampling, compare_statistics
from slt.evaluate.results import Results, Sentence
from slt.evaluate.text_metrics import Pairs, mean_score, metrics_for, per_sentence

DEFAULT_METRICS = ("bleu4", "chrf++", "rouge_l_coco", "ter")
MAX_IDS = 10
MAX_CHANGES = 10


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Comparison of one system with the first, by one metric.

    Attributes:
        system: name of the system.
        metric: name of the metric.
        label: display name of the metric.
        baseline, value: scores of the first system and of this one.
        difference: difference with interval and p-values.
    """

    system: str
    metric: str
    label: str
    baseline: float
    value: float
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class Change:
    """A sentence that another system translates better or worse than the first.

    Attributes:
        system: name of the other system.
        id: clip id.
        reference, before, after: reference, text of the first system, text of the other.
        chrf: change of sentence chrF++.
    """

    system: str
    id: str
    reference: str
    before: str
    after: str
    chrf: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of systems with the first one.

    Attributes:
        systems: names; the first is the baseline.
        n: number of clips.
        sha256: hash of clips and references, equal in all results.
        contrasts: comparisons by system and metric.
        better, worse: sentences with the largest changes, by system.
        resampling: settings of the significance tests.
    """

    systems: tuple[str, ...]
    n: int
    sha256: str
    contrasts: tuple[Contrast, ...]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    resampling: Resampling


def compare(results: Sequence[Results], resampling: Resampling, metrics: Sequence[str] | None = None) -> Comparison:
    """Compare systems with the first one.

    Args:
        results: results of at least two systems on the same clips.
        resampling: settings of the significance tests.
        metrics: names of text metrics; None: ``DEFAULT_METRICS``.

    Raises:
        UserError: fewer than two systems, different clips, references or languages, or an unknown metric.
    """
    _check_same_clips(results)
    names = distinct_names(results)
    base, ids = results[0], [one.id for one in results[0].sentences]
    rows = [[_by_id(one)[name] for name in ids] for one in results]
    contrasts = []
    for number in range(1, len(results)):
        contrasts += _contrasts(names[number], rows[0], rows[number], base.lang, resampling, metrics)
    changes = [
        Change(
            system=names[number],
            id=old.id,
            reference=old.reference,
            before=old.hypothesis,
            after=new.hypothesis,
            chrf=new.chrf - old.chrf,
        )
        for number in range(1, len(results))
        for old, new in zip(rows[0], rows[number], strict=True)
    ]
    better = sorted((one for one in changes if one.chrf > 0), key=lambda one: -one.chrf)
    worse = sorted((one for one in changes if one.chrf < 0), key=lambda one: one.chrf)
    return Comparison(
        systems=tuple(names),
        n=len(ids),
        sha256=base.clips.sha256,
        contrasts=tuple(contrasts),
        better=_most(better, names),
        worse=_most(worse, names),
        resampling=resampling,
    )


def side_by_side(results: Sequence[Results]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one row per clip with the output of each system, and the column names."""
    names = distinct_names(results)
    columns = ["id", "reference"]
    for name in names:
        columns += [name, f"{name} bleu", f"{name} chrf", f"{name} cosine", f"{name} confidence"]
    found = []
    others = [_by_id(one) for one in results]
    for one in results[0].sentences:
        row: dict[str, Any] = {"id": one.id, "reference": one.reference}
        for name, by_id in zip(names, others, strict=True):
            own = by_id[one.id]
            row[name] = own.hypothesis
            row |= {f"{name} {key}": getattr(own, key) for key in ("bleu", "chrf", "cosine", "confidence")}
        found.append(row)
    return found, columns


def distinct_names(results: Sequence[Results]) -> list[str]:
    """Return the systems' names; duplicates are numbered."""
    names: list[str] = []
    for one in results:
        name, number = one.system, 2
        while name in names:
            name, number = f"{one.system} ({number})", number + 1
        names.append(name)
    return names


def same_clips(results: Sequence[Results]) -> bool:
    """Return whether all results have the same clips, references and language."""
    return len({(one.clips.sha256, one.lang) for one in results}) == 1


def _check_same_clips(results: Sequence[Results]) -> None:
    if len(results) < 2:
        raise UserError("found one system, expected at least two to compare", fix="give two or more results.json")
    if same_clips(results):
        return
    base, known = results[0], _by_id(results[0])
    for other in results[1:]:
        if other.lang != base.lang:
            raise UserError(
                f"{base.system} was scored in {base.lang} and {other.system} in {other.lang}, expected one language",
                fix="evaluate both with the same --lang",
            )
        theirs = _by_id(other)
        apart = [name for name in known if name not in theirs] + [name for name in theirs if name not in known]
        if apart:
            raise UserError(
                f"{base.system} was scored on {len(known)} clips and {other.system} on {len(theirs)}, "
                f"expected the same; {len(apart)} are not in both: {_shorten(apart)}",
                fix="score both on the same manifest, without --skip-missing: failed clips then count as empty",
            )
        if changed := [name for name in known if known[name].reference != theirs[name].reference]:
            raise UserError(
                f"{base.system} and {other.system} differ in {len(changed)} references: {_shorten(changed)}",
                fix="score both against the same references",
            )


def _contrasts(
    system: str,
    first: Sequence[Sentence],
    second: Sequence[Sentence],
    lang: str,
    resampling: Resampling,
    metrics: Sequence[str] | None,
) -> list[Contrast]:
    pairs = [Pairs([one.hypothesis for one in side], [one.reference for one in side]) for side in (first, second)]
    found = []
    for metric in metrics_for(lang, metrics or DEFAULT_METRICS):
        ours, theirs = (metric.statistics(one) for one in pairs)
        found.append((metric.name, metric.label, ours, theirs, metric.score))
    if metrics is None and all(one.cosine is not None for one in (*first, *second)):
        ours, theirs = (per_sentence(np.array([one.cosine for one in side], float)) for side in (first, second))
        found.append(("cosine", "cosine", ours, theirs, mean_score))
    return [
        Contrast(
            system=system,
            metric=name,
            label=label,
            baseline=float(score(ours.sum(0))),
            value=float(score(theirs.sum(0))),
            difference=compare_statistics(ours, theirs, score, resampling),
        )
        for name, label, ours, theirs, score in found
    ]


def _by_id(results: Results) -> dict[str, Sentence]:
    return {one.id: one for one in results.sentences}


def _most(changes: Sequence[Change], names: Sequence[str]) -> tuple[Change, ...]:
    return tuple(one for name in names[1:] for one in [c for c in changes if c.system == name][:MAX_CHANGES])


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_IDS]) + (f" and {len(names) - MAX_IDS} more" if len(names) > MAX_IDS else "")
