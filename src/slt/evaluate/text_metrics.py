"""Text metrics by name, each with its score and confidence interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.registry import did_you_mean
from slt.evaluate import bleu as _bleu
from slt.evaluate import overlap
from slt.evaluate.bootstrap import Resampling, interval, resampled_totals

Floats = NDArray[np.float64]

DEFAULT_TOKENIZER, MECAB = "13a", "ja-mecab"
# Scripts without spaces between words: sacrebleu's word tokenizer if there is one, otherwise characters.
TOKENIZER_OF_LANGUAGE = {"zho": "zh", "yue": "zh", "jpn": MECAB, "tha": "char", "lao": "char", "khm": "char"}
TOKENIZER_OF_LANGUAGE |= {"mya": "char", "bod": "char", "dzo": "char"}
VARIANTS = (("13a", False), ("13a", True), ("none", False), ("intl", False))
"""(tokenizer, lower-cased) of the BLEU variants reported in papers, often without a signature."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A system's score by one metric.

    Attributes:
        name: the metric's key, as in ``results.json``.
        label: display name.
        value: score in the metric's usual unit.
        low, high: 95 % bootstrap interval; None if not requested.
        signature: all settings that determine the value.
    """

    name: str
    label: str
    value: float
    low: float | None = None
    high: float | None = None
    signature: str = ""


class Pairs:
    """Hypotheses and references, with cached tokens and statistics.

    Raises:
        UserError: no sentences, or different numbers of hypotheses and references.
    """

    def __init__(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        if len(hypotheses) != len(references):
            raise UserError(
                f"found {len(hypotheses)} hypotheses and {len(references)} references, expected as many of each",
                fix="give one hypothesis per reference, in the same order; an empty line if there is none",
            )
        if not references:
            raise UserError("found no sentences, expected at least one to score")
        self.hypotheses, self.references = list(hypotheses), list(references)
        self._cache: dict[object, tuple[list[list[str]], list[list[str]]] | Floats] = {}

    def words(self, tokenizer: str, *, lowercase: bool = False) -> tuple[list[list[str]], list[list[str]]]:
        """Return the tokens of both sides."""
        key = ("words", tokenizer, lowercase)
        if key not in self._cache:
            sides = (self.hypotheses, self.references)
            ours, theirs = (_bleu.tokenize(side, tokenizer, lowercase=lowercase) for side in sides)
            self._cache[key] = ours, theirs
        return self._cache[key]  # type: ignore[return-value]

    def bleu(self, tokenizer: str, lowercase: bool) -> Floats:
        """Return the BLEU statistics, (N, 10)."""
        key = ("bleu", tokenizer, lowercase)
        if key not in self._cache:
            self._cache[key] = _bleu.bleu_statistics(*self.words(tokenizer, lowercase=lowercase))
        return self._cache[key]  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A corpus metric computed from summed sentence statistics.

    Attributes:
        name: key of the metric.
        label: display name.
        signature: returns the settings that determine the value.
        statistics: N pairs → (N, K) float64.
        score: sums (…, K) → scores (…).
        lower_is_better: True for error rates.
    """

    name: str
    label: str
    signature: Callable[[], str]
    statistics: Callable[[Pairs], Floats]
    score: Callable[[Floats], Floats]
    lower_is_better: bool = False


def default_tokenizer(lang: str) -> str:
    """Return the tokenizer usually used for BLEU in a language (FLORES-200 code)."""
    wanted = TOKENIZER_OF_LANGUAGE.get(lang.partition("_")[0], DEFAULT_TOKENIZER)
    return "char" if wanted == MECAB and not all(map(find_spec, ("MeCab", "ipadic"))) else wanted


def metrics_for(lang: str, names: Iterable[str] | None = None) -> list[Metric]:
    """Return the metrics of texts in a language, or those in ``names``.

    Word-level BLEU of Japanese may be named even if its tokenizer is not installed.

    Raises:
        UserError: an unknown name, or its tokenizer is not installed.
    """
    usual = default_tokenizer(lang)
    found = [_bleu_metric(f"bleu{order}", f"BLEU-{order}", usual, order=order) for order in range(1, 5)]
    variants = [*VARIANTS, ("char", False)] if usual != DEFAULT_TOKENIZER else VARIANTS
    found += [_bleu_variant(*variant) for variant in variants if variant != (usual, False)]
    found += [
        Metric(
            name="chrf++",
            label="chrF++",
            signature=_bleu.chrf_signature,
            statistics=lambda pairs: _bleu.chrf_statistics(pairs.hypotheses, pairs.references),
            score=_bleu.chrf_score,
        ),
        Metric(
            name="ter",
            label="TER",
            signature=overlap.ter_signature,
            statistics=lambda pairs: overlap.ter_statistics(pairs.hypotheses, pairs.references),
            score=overlap.ter_score,
            lower_is_better=True,
        ),
        *_mean_metrics(lang, usual),
    ]
    if names is None:
        return found
    by_words = _bleu_variant(MECAB, False)
    known = {metric.name: metric for metric in [*found, *([by_words] if lang.startswith("jpn") else [])]}
    names = list(names)
    if by_words.name in names and by_words.name in known:
        _bleu.load_tokenizer(MECAB)
    for name in names:
        if name not in known:
            raise UserError(
                f"unknown metric {name!r} for texts in {lang}; known: {', '.join(known)}", fix=did_you_mean(name, known)
            )
    return [known[name] for name in names]


def score_pairs(pairs: Pairs, metrics: Sequence[Metric], resampling: Resampling | None = None) -> list[Score]:
    """Score a corpus by several metrics, with intervals from the same bootstrap samples if ``resampling`` is given."""
    return score_statistics([(metric, metric.statistics(pairs)) for metric in metrics], resampling)


def score_statistics(made: Sequence[tuple[Metric, Floats]], resampling: Resampling | None = None) -> list[Score]:
    """Compute scores from (N, K) statistics of the same clips; all are resampled together."""
    tables = {id(statistics): statistics for _, statistics in made}  # BLEU of all orders shares them
    resampled: dict[int, Floats] = {}
    if resampling and resampling.resamples and tables:
        totals = resampled_totals(np.concatenate(list(tables.values()), axis=1), resampling)
        ends = np.cumsum([table.shape[1] for table in tables.values()])
        resampled = dict(zip(tables, np.split(totals, ends[:-1], axis=1), strict=True))
    scores = []
    for metric, statistics in made:
        low, high = interval(metric.score(resampled[id(statistics)])) if resampled else (None, None)
        value = float(metric.score(statistics.sum(0)))
        scores.append(
            Score(name=metric.name, label=metric.label, value=value, low=low, high=high, signature=metric.signature())
        )
    return scores


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, lang: str = "eng_Latn", order: int = 4) -> Score:
    """Return sacrebleu's corpus BLEU, 0 to 100, with the usual tokenizer of the language.

    Raises:
        UserError: no sentences, or different numbers of hypotheses and references.
    """
    return score_pairs(Pairs(hypotheses, references), metrics_for(lang, [f"bleu{order}"]))[0]


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Return sacrebleu's corpus chrF++, 0 to 100.

    Raises:
        UserError: no sentences, or different numbers of hypotheses and references.
    """
    return score_pairs(Pairs(hypotheses, references), metrics_for("eng_Latn", ["chrf++"]))[0]


def sentence_scores(pairs: Pairs, lang: str) -> tuple[Floats, Floats]:
    """Return sacrebleu's sentence BLEU (effective order) and sentence chrF++, (N,) each."""
    statistics = pairs.bleu(default_tokenizer(lang), False)
    chrf_statistics = _bleu.chrf_statistics(pairs.hypotheses, pairs.references)
    return _bleu.bleu_score(statistics, effective_order=True), _bleu.chrf_score(chrf_statistics)


def mean_score(totals: Floats) -> Floats:
    """Return the mean from summed statistics (…, 2): sum and count."""
    return totals[..., 0] / totals[..., 1]


def per_sentence(values: Floats) -> Floats:
    """Return the (N, 2) statistics of (N,) values for ``mean_score``."""
    return np.stack([values, np.ones_like(values)], axis=1)


def _bleu_metric(name: str, label: str, tokenizer: str, *, order: int = 4, lowercase: bool = False) -> Metric:
    return Metric(
        name=name,
        label=label,
        signature=lambda: _bleu.bleu_signature(tokenizer, lowercase=lowercase),
        statistics=lambda pairs: pairs.bleu(tokenizer, lowercase),
        score=partial(_bleu.bleu_score, order=order),
    )


def _bleu_variant(tokenizer: str, lowercase: bool) -> Metric:
    name = f"bleu4_{tokenizer}" + ("_lower" if lowercase else "")
    label = f"BLEU-4 ({tokenizer}" + (", lower-cased)" if lowercase else ")")
    return _bleu_metric(name, label, tokenizer, lowercase=lowercase)


def _mean_metrics(lang: str, tokenizer: str) -> list[Metric]:
    """Return the metrics that are means over sentences."""
    # rouge-score removes all characters except a-z and 0-9, hence everything in another script.
    rows = [("rouge_l", "ROUGE-L", _rouge, "nrefs:1|formula:rouge-score|beta:1|tok:a-z0-9|case:lc|stem:no")]
    rows = rows if lang.endswith("_Latn") else []
    rows.append(
        ("rouge_l_coco", "ROUGE-L (coco)", _rouge_coco, f"nrefs:1|formula:coco|beta:1.2|tok:{tokenizer}|case:mixed")
    )
    rows.append(
        (
            "cider_d",
            "CIDEr-D",
            _cider,
            f"nrefs:1|formula:coco|n:4|sigma:6|df:these references|tok:{tokenizer}|case:lc|punct:no",
        )
    )
    made = [
        Metric(
            name=name,
            label=label,
            signature=partial(str, signature),
            statistics=partial(_mean_statistics, values, tokenizer),
            score=mean_score,
        )
        for name, label, values, signature in rows
    ]
    meteor = Metric(
        name="meteor",
        label="METEOR",
        signature=partial(overlap.meteor_signature, tokenizer),
        statistics=partial(_mean_statistics, _meteor, tokenizer),
        score=mean_score,
    )
    return [*made, meteor]


def _mean_statistics(values: Callable[[Pairs, str], Floats], tokenizer: str, pairs: Pairs) -> Floats:
    return per_sentence(values(pairs, tokenizer))


def _rouge(pairs: Pairs, tokenizer: str) -> Floats:
    """Uses rouge-score's own tokenization."""
    both = zip(pairs.hypotheses, pairs.references, strict=True)
    rouge_words = overlap.rouge_words
    return 100 * np.array([overlap.rouge_l(rouge_words(ours), rouge_words(theirs)) for ours, theirs in both])


def _rouge_coco(pairs: Pairs, tokenizer: str) -> Floats:
    return 100 * np.array([overlap.rouge_l_coco(*both) for both in zip(*pairs.words(tokenizer), strict=True)])


def _meteor(pairs: Pairs, tokenizer: str) -> Floats:
    return 100 * overlap.meteor(*pairs.words(tokenizer))


def _cider(pairs: Pairs, tokenizer: str) -> Floats:
    ours, theirs = pairs.words(tokenizer, lowercase=True)
    return overlap.cider_d(list(map(overlap.caption_words, ours)), list(map(overlap.caption_words, theirs)))
