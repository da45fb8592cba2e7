"""``slt check-manifest``: report a corpus's coverage and the clips that would harm training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_cli.tables import print_checks, print_rows

if TYPE_CHECKING:
    from slt.data.validate import Report

SOME_FAILED = 3


def check_manifest(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST", help="The manifests of one corpus, checked together.")
    ],
    features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A feature store, or folder of features, to check too.")
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Read every clip's video to its end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write clean manifests: to a .tsv file, or of several to a folder."),
    ] = None,
) -> None:
    """Check manifests before training: coverage, and clips that would harm it.

    Checks for rows that cannot be read, ids, clips and sentences that occur twice, videos and features that are
    missing, broken or of another shape, empty and over-long sentences, impossible durations and reading speeds, and
    whatever two splits share. Every known layout of manifests is taken.

    --fix leaves out the clips of the checks that ask for it; OUT.dropped.tsv says which and why. Exits with 3 when a
    check failed, unless --fix has left those clips out; warnings alone end with 0.

    Example: slt check-manifest how2sign/train.tsv how2sign/val.tsv how2sign/test.tsv

    Example: slt check-manifest how2sign/train.tsv --decode --fix clean/train.tsv
    """
    from json import dumps

    from slt.core import log
    from slt.data.clean import clean_names, write_clean
    from slt.data.findings import CHECKS
    from slt.data.validate import examine
    from slt.env.checks import failures

    with log.bars() as bars:
        report = examine(manifests, features=features, decode=decode, progress=bars.update)
    if json:
        log.result(dumps(_as_json(report), ensure_ascii=False, indent=1))
    else:
        columns = ("clips", "with_video", "with_keypoints", "with_features", "with_text", "hours")
        rows = [(split, *(f"{count[name]:g}" for name in columns)) for split, count in report.coverage.items()]
        print_rows(("split", *(name.replace("_", " ") for name in columns)), rows)
        print_checks(report.results)
    failed = failures(report.results)
    if fix is not None:
        targets = clean_names(report, fix)
        for target, dropped in zip(targets, write_clean(report, targets), strict=True):
            why = ", ".join(f"{check}: {n}" for check, n in dropped.items()) or "nothing"
            log.say(
                f"{target}: left out {why}" + (f"; {target.with_suffix('.dropped.tsv')} lists them" if dropped else "")
            )
        failed = [result for result in failed if not CHECKS[result.name].drops]
    if failed:
        log.say(f"{len(failed)} of {len(report.results)} checks failed: {', '.join(result.name for result in failed)}")
        raise typer.Exit(SOME_FAILED)


def _as_json(report: Report) -> dict[str, object]:
    from slt.env.checks import failures

    paths = [str(manifest.path) for manifest in report.manifests]
    return {
        "ok": not failures(report.results),
        "manifests": paths,
        "coverage": report.coverage,
        "checks": [vars(result) for result in report.results],
        "findings": [{**vars(one), "manifest": paths[one.manifest]} for one in report.findings],
    }
