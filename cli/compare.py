"""``slt compare``: compare systems on the same clips, with significance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slt.evaluate.compare import Change, Comparison

SHOWN = 3


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS", help="results.json, or folders with one; the first is the baseline."),
    ],
    metrics: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Compare by these metrics of text, as bleu4,meteor.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of the paired bootstrap.")] = 1000,
    trials: Annotated[int, typer.Option(min=1, help="Trials of approximate randomisation.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of both.")] = 12345,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write comparison.json, and translations side by side, there."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare systems on the same clips, with p-values, and show the sentences that changed most.

    Results of different clips are refused.

    Example: slt compare zero-shot/results.json fine-tuned/results.json --out comparison
    """
    from dataclasses import asdict
    from json import dumps

    from slt.core import log
    from slt.evaluate.bootstrap import Resampling
    from slt.evaluate.compare import compare, side_by_side
    from slt.evaluate.results import read_results, write_json, write_translations

    found = [read_results(path) for path in results]
    names = [part.strip() for part in metrics.split(",")] if metrics else None
    comparison = compare(found, Resampling(resamples=resamples, trials=trials, seed=seed), names)
    if out:
        write_translations(out, *side_by_side(found))
        write_json(out / "comparison.json", asdict(comparison))
    if json:
        log.result(dumps(asdict(comparison), ensure_ascii=False))
        return
    for line in _lines(comparison):
        log.result(line)


def _lines(comparison: Comparison) -> Iterator[str]:
    baseline = comparison.systems[0]
    yield f"{comparison.n} clips, {comparison.sha256[:12]}; baseline: {baseline}"
    for system in comparison.systems[1:]:
        yield f"\n{system}"
        yield f"  {'':<26} baseline    score   change  {'95 % interval':<19}p: paired, swapped"
        for one in comparison.contrasts:
            if one.system == system:
                change = one.difference
                digits = 3 if one.metric == "cosine" else 2
                within = f"[{change.low:+.{digits}f}, {change.high:+.{digits}f}]"
                yield (
                    f"  {one.label:<26}{one.baseline:9.{digits}f}{one.value:9.{digits}f}{change.value:+9.{digits}f}"
                    f"  {within:<19}{change.p_bootstrap:9.4f}{change.p_randomisation:9.4f}"
                )
        for title, changes in (("improved most", comparison.better), ("worsened most", comparison.worse)):
            yield from _changes(title, [one for one in changes if one.system == system][:SHOWN])


def _changes(title: str, changes: list[Change]) -> Iterator[str]:
    if changes:
        yield f"  {title}, by chrF++"
    for one in changes:
        yield f"    {one.id} {one.chrf:+.1f}"
        yield f"      signed  {one.reference}"
        yield f"      before  {one.before}"
        yield f"      now     {one.after}"
