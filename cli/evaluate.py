"""``slt evaluate``: score a model or a file of hypotheses, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slt_cli import completion
from slt_cli.translate import Dtype, TextEngineOption

if TYPE_CHECKING:
    from slt.evaluate.evaluation import EvaluationData, Settings
    from slt.evaluate.model import ModelSettings
    from slt.evaluate.results import Results
    from slt.evaluate.text_metrics import Score

DEFAULT_LANG = "eng_Latn"
SHOWN_GROUPS = 8


class UnicodeForm(StrEnum):
    """Unicode forms that texts can be brought to."""

    NFC = "NFC"
    NFKC = "NFKC"


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A model, a bundle's folder, or hf:OWNER/NAME; with --manifest.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Manifest of the clips and their references.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="The clips' features, extracted earlier; with --model: no video is read."),
    ] = None,
    hyp: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Hypotheses of any system instead: plain lines, .tsv by id, or results.json."
        ),
    ] = None,
    ref: Annotated[
        Path | None, typer.Option(metavar="FILE", help="References, in the same formats; default: in --hyp.")
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="LANG",
            autocompletion=completion.languages,
            help="FLORES-200 code of the texts: the manifest's, or eng_Latn.",
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Only these metrics, as bleu4,chrf++,blaser_ref.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write results.json and translations there; a stopped run resumes."),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Training manifest; clips whose sentence is in it are also scored separately."
        ),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also score blank videos, and translations given to the wrong clips.")
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Exclude failed clips instead of scoring them as empty.")
    ] = False,
    normalise: Annotated[
        UnicodeForm | None, typer.Option(help="Bring hypotheses and references to this Unicode form before scoring.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples; 0: no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the bootstrap.")] = 12345,
    beam: Annotated[int, typer.Option(min=1, help="Beam size.")] = 5,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the system in tables.")] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Precision of the models.")] = Dtype.float32,
    text_engine: TextEngineOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print all of results.json but the sentences.")] = False,
) -> None:
    """Score a model on a manifest, or texts against references: every number with its 95 % interval and signature.

    Clips that fail are listed, and count as empty texts. docs/evaluation.md says what each number means.

    Example: slt evaluate --model demo --manifest corpus/test.tsv --out scores --controls
    """
    from slt.evaluate.blaser import choose_blasers, split_metric_names
    from slt.evaluate.bootstrap import Resampling
    from slt.evaluate.evaluation import Settings, read_files, summarise
    from slt.evaluate.model import ModelSettings
    from slt.evaluate.results import write_results
    from slt.evaluate.text_metrics import metrics_for
    from slt_cli.failures import ItemsFailed

    _check_sources(model, manifest, hyp, ref, features)
    language = lang or language_of(manifest)
    wanted, judges = split_metric_names([part.strip() for part in metrics.split(",")] if metrics else None)
    metrics_for(language, wanted)  # a misspelt one is not worth translating for
    settings = Settings(
        lang=language,
        metrics=wanted,
        resampling=Resampling(resamples=resamples, seed=seed),
        skip_failed=skip_missing,
        controls=controls,
        normalise=normalise.value if normalise else None,
        training=_training(train, language),
    )
    if hyp:
        choose_blasers(judges or (), None)
        material = read_files(hyp, ref)
        source = {"hypotheses": str(hyp), "references": str(ref or hyp)}
        called = hyp.parent.name if hyp.name == "results.json" else hyp.stem
    else:
        asked = ModelSettings(
            model=str(model),
            lang=language,
            beam=beam,
            device=device,
            dtype=dtype.value,
            text_engine=text_engine and text_engine.value,
        )
        material, source = _translated(asked, manifest or Path(), features, out, settings, judges)
        called = source["model"]
    results = summarise(material, settings, system=name or called, source=source)
    if out:
        write_results(out, results)
    _print(results, json=json)
    if material.failures:
        raise ItemsFailed(material.failures, total=len(material.sentences), what="clips")


def _check_sources(
    model: str | None, manifest: Path | None, hyp: Path | None, ref: Path | None, features: Path | None
) -> None:
    from slt.core.errors import UserError

    if (
        (model is None) != (manifest is None)
        or (hyp is None) == (model is None)
        or (ref and not hyp)
        or (features and hyp)
    ):
        raise UserError(
            "expected a model and a manifest, or hypotheses and references",
            fix="slt evaluate --model demo --manifest test.tsv, or slt evaluate --hyp said.txt --ref signed.txt",
        )


def language_of(manifest: Path | None) -> str:
    """Return the language that the manifest's texts are in, English where it does not say."""
    from slt.data.manifest import read_manifest

    return (manifest and read_manifest(manifest).lang) or DEFAULT_LANG


def _training(train: Path | None, lang: str) -> frozenset[str] | None:
    from slt.core.errors import UserError
    from slt.data.manifest import read_manifest
    from slt.evaluate.diagnostics import texts_of, training_texts

    if train is None:
        return None
    texts = texts_of(read_manifest(train, lang=lang), lang)
    if not texts:
        raise UserError(f"{train} has no text in {lang}", fix="give the manifest the model was trained with")
    return training_texts(texts)


def _translated(
    asked: ModelSettings,
    manifest: Path,
    features: Path | None,
    out: Path | None,
    settings: Settings,
    judges: Sequence[str] | None,
) -> tuple[EvaluationData, dict[str, Any]]:
    """Translate with a model; what it depends on is checked first."""
    from slt.assets.store import find_bundle
    from slt.core import log
    from slt.data.manifest import read_manifest
    from slt.evaluate.blaser import choose_blasers
    from slt.evaluate.videos import translate_manifest

    source = asked.fingerprint()
    blasers = choose_blasers(judges, find_bundle(asked.model))
    clips = read_manifest(manifest, lang=settings.lang)
    with log.bars() as bars:
        material = translate_manifest(
            asked, clips, out, bars.update, blanks=settings.controls, blasers=blasers, features=features
        )
    told = {"features": str(features)} if features else {}
    return material, {**source, "manifest": str(manifest), **told}


def _print(results: Results, *, json: bool) -> None:
    """Print the scores, then what they are made of; the sentences are in the files."""
    from dataclasses import asdict
    from json import dumps

    from slt.core import log

    if json:
        log.result(dumps({key: value for key, value in asdict(results).items() if key != "sentences"}))
        return
    for line in _lines(results):
        log.result(line)


def _lines(results: Results) -> Iterator[str]:
    clips = results.clips
    yield f"{results.system}: {clips.n} clips in {results.lang}, {clips.sha256[:12]}"
    yield from lines_of("score", results.scores)
    for by in dict.fromkeys(group.by for group in results.groups):
        groups = sorted((group for group in results.groups if group.by == by), key=lambda group: -group.n)
        shown = [group for group in results.groups if group in groups[:SHOWN_GROUPS]]
        yield f"\nby {by}"
        yield from (_row(f"{group.label}, {group.n} clips", group.scores) for group in shown)
        if len(groups) > len(shown):
            yield f"  and {len(groups) - len(shown)} more, in results.json"
    if results.controls:
        yield "\ncontrols: what is left without the signing"
        yield from (_row(control.name, control.scores) for control in results.controls)
    repeats = results.repeats
    yield f"\n{repeats.generic:.1f} % of the texts were given to clips of different meaning as well"
    yield f"{repeats.distinct:.1f} % of the texts are distinct; of the references {repeats.distinct_references:.1f} %"
    if norms := results.norms:
        yield ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in norms.items())
    if time := results.timing:
        spent = f"{time.median_s:.2f} s a clip (median), {time.p95_s:.2f} s (95th percentile)"
        yield f"{spent}, {time.real_time_factor:.3f} s per second of video, on {time.device}"
    for note in results.notes:
        yield f"note: {note}"
    yield "\nsignatures"
    yield from (f"  {score.label}: {score.signature}" for score in results.scores)


def lines_of(title: str, scores: Iterable[Score]) -> Iterator[str]:
    """Write scores under a title, one per line."""
    yield f"\n{title}"
    for score in scores:
        yield f"  {score.label:<26}{_number(score)}"


def _row(label: str, scores: Iterable[Score]) -> str:
    return f"  {label:<32}" + "".join(f"{score.label} {_number(score)}   " for score in scores).rstrip()


def _number(score: Score) -> str:
    """Write a score and its interval; a cosine with a digit more."""
    digits = 3 if score.name == "cosine" else 2
    within = "" if score.low is None else f"  [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    return f"{score.value:8.{digits}f}{within}"
