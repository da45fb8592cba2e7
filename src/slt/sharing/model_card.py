"""The model card of a shared bundle: ``README.md`` with the hub's metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from slt.assets.cards import BundleCard
from slt.assets.hub_fetch import licence_slug
from slt.evaluate.results import Results
from slt.sharing.licences import OTHER, Licence
from slt.sharing.origins import Origin
from slt.text.hf.tokens import MBART_LANGUAGES
from slt.text.languages import LANGUAGE_NAMES

TEMPLATE = "model_card.md"
TAGS = ("sign-language", "sign-language-translation", "video-to-text", "slt")
FEW_LANGUAGES = 8
HUB_METRICS = {"bleu4": "bleu", "chrf": "chrf", "rouge_l": "rouge", "meteor": "meteor"}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#])")


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a model card tells of.

    Attributes:
        repo: ``OWNER/NAME``, where it is going to lie.
        card: the bundle's, as it is shared.
        licence: it is shared under.
        origins: what it was made of.
        results: of its evaluations.
    """

    repo: str
    card: BundleCard
    licence: Licence
    origins: tuple[Origin, ...] = ()
    results: tuple[Results, ...] = ()


def write_model_card(share: Share) -> str:
    """Return the text of ``README.md``."""
    import jinja2

    template = resources.files("slt.sharing").joinpath(TEMPLATE).read_text("utf-8")
    page = jinja2.Environment(autoescape=False, finalize=_plain, undefined=jinja2.StrictUndefined)
    made = share.card.made
    text = page.from_string(template).render(
        metadata=_Verbatim(metadata(share)),
        title=share.repo.partition("/")[2],
        repo=_Verbatim(share.repo),
        card=share.card,
        lang=_Verbatim(share.card.languages[0]),
        languages=_languages(share.card.languages),
        licence=share.licence,
        origins=share.origins,
        recipe=_recipe(made.get("recipe")),
        figures=", ".join(f"{name} {value:g}" for name, value in _numbers(made.get("figures")).items()),
        results=[_table(one) for one in share.results],
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def metadata(share: Share) -> str:
    """Return what the hub reads of a card, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    licence, bases = share.licence, sorted({one.hub_repo for one in share.origins if one.hub_repo})
    data = ModelCardData(
        license=licence.hub_id,
        license_name=licence_slug(licence.name) if licence.hub_id == OTHER else None,
        language=list(dict.fromkeys(map(language_code, share.card.languages))),
        library_name="slt",
        tags=list(TAGS),
        base_model=bases or None,
        model_name=share.repo.partition("/")[2],
        eval_results=[
            EvalResult(
                task_type="translation",
                task_name="Sign language translation",
                dataset_type=re.sub(r"[^a-z0-9]+", "-", _dataset(one).lower()).strip("-"),
                dataset_name=_dataset(one),
                dataset_args={"language": one.lang, "clips": one.clips.n},
                metric_type=HUB_METRICS.get(score.name, score.name),
                metric_name=f"{score.label}{_within(score)}",
                metric_value=round(score.value, 4),
                metric_args={"signature": score.signature} if score.signature else None,
            )
            for one in share.results
            for score in one.scores
        ]
        or None,
    )
    return data.to_yaml(line_break="\n").strip()


def language_code(lang: str) -> str:
    """Return the hub's code of a FLORES-200 language: of two letters where mBART has one, else of three."""
    return MBART_LANGUAGES[lang][:2] if lang in MBART_LANGUAGES else lang.partition("_")[0]


class _Verbatim(str):
    """Text of ours, in which nothing is escaped."""

    __slots__ = ()


def _plain(value: object) -> object:
    """Return a value without what Markdown, a terminal or a browser would make something of."""
    if isinstance(value, _Verbatim) or not isinstance(value, str):
        return value
    return _MARKUP.sub(r"\\\1", " ".join("".join(c if c.isprintable() else " " for c in value).split()))


def _languages(languages: Sequence[str]) -> str:
    if len(languages) > FEW_LANGUAGES:
        return f"{len(languages)} languages"
    *most, last = (LANGUAGE_NAMES.get(lang, lang) for lang in languages)
    return f"{', '.join(most)} and {last}" if most else last


def _recipe(recipe: Any) -> dict[str, str] | None:
    """Return what a card tells of a recipe; None: there is none."""
    if not isinstance(recipe, Mapping):
        return None
    data, objective = recipe.get("data"), recipe.get("objective")
    train = data.get("train") if isinstance(data, Mapping) else None
    manifest = train.get("manifest") if isinstance(train, Mapping) else None
    kind = objective.get("kind") if isinstance(objective, Mapping) else None
    return {"data": str(manifest or "unknown"), "objective": str(kind or "unknown")}


def _numbers(figures: Any) -> dict[str, float]:
    items = figures.items() if isinstance(figures, Mapping) else ()
    return {str(name): float(value) for name, value in items if isinstance(value, int | float)}


def _dataset(results: Results) -> str:
    """Return the name of the test set: of its manifest, and the folder that lies in."""
    manifest = results.source.get("manifest")
    return "/".join(Path(str(manifest)).parts[-2:]) if manifest else f"{results.clips.n} clips"


def _table(results: Results) -> dict[str, Any]:
    rows = [
        {
            "label": score.label,
            "value": f"{score.value:.3g}" if abs(score.value) < 1 else f"{score.value:.2f}",
            "interval": _interval(score) or "not computed",
            "signature": score.signature,
        }
        for score in results.scores
    ]
    return {
        "dataset": _dataset(results),
        "n": results.clips.n,
        "language": LANGUAGE_NAMES.get(results.lang, results.lang),
        "failed": len(results.clips.failed),
        "counting": {"empty": "empty texts", "skipped": "not there"}[results.clips.counting],
        "rows": rows,
        "notes": results.notes,
    }


def _interval(score: Any) -> str:
    return "" if score.low is None else f"{score.low:.2f} to {score.high:.2f}"


def _within(score: Any) -> str:
    interval = _interval(score)
    return f" (95 % interval {interval})" if interval else ""
