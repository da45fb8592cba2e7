"""``slt extract-features``: extract features of videos into a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt.core.registry import FRONTENDS
from slt_cli import completion
from slt_cli.translate import Dtype

if TYPE_CHECKING:
    from slt.extract.run import Report
    from slt.frontend.base import Frontend
    from slt.frontend.clip import ClipSource


KINDS = [kind for kind in FRONTENDS if "+" not in kind]


def extract_features(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST|VIDEO", help="Manifests (.tsv, .csv, .txt), videos, folders of frames, keypoint files."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Feature store; a stopped run resumes in it.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A bundle, demo if none; or a model's own folder, for siglip and timesformer.",
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(metavar="|".join(KINDS), help="The extractor; by default the model's own."),
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Do the I-th of N parts only, I from 0 to N-1; all may run at once.")
    ] = "0/1",
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="How the signer is found; default: as the model specifies.")
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Joints of the keypoint files, if not MediaPipe's; converted to the extractor's.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Precision of the model.")] = Dtype.float32,
    compiles: Annotated[
        bool,
        typer.Option("--compile", help="Compile SignHiera by torch first: a minute or so; for many clips on a GPU."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Clips read at once; by default as many as cores, 16 at most.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Extract a few clips and estimate the time and size of all.")
    ] = False,
) -> None:
    """Extract features of the clips of manifests, or of single videos.

    Clips whose features are in the store already are left as they are, so the same command goes on where it was stopped
    or killed. What failed is listed with its reason in DIR/failures, and tried again by the next run. SIGTERM, SIGUSR1
    or the file that SLT_STOP_FILE names stop it; it then leaves with 75.

    Example: slt extract-features corpus/train.tsv --out features --model demo
    """
    from slt.core import log
    from slt.core.signals import stop_requests

    index, count = _parse_shard(shard)
    with log.bars() as bars:
        bars.update("loading the model", 0, 1)
        from slt.extract.jobs import choose_shard, gather_jobs
        from slt.extract.run import extract, failures_path
        from slt.frontend.base import Settings
        from slt.frontend.registry import load_frontend

        jobs = choose_shard(gather_jobs(sources), index, count)
        settings = Settings(
            model=model, device=device, dtype=dtype.value, detector=detector, skeleton=skeleton, compiles=compiles
        )
        made_by = load_frontend(extractor, settings)
        bars.update("loading the model", 1, 1)
        if dry_run:
            _estimate(jobs, made_by, out)
            return
        pace = log.Pace()
        with stop_requests() as stop:
            report = extract(
                jobs,
                made_by,
                out,
                shard=(index, count),
                n_workers=workers,
                stop=stop,
                progress=lambda done, total: bars.update("clips", done, total, pace(done, total)),
            )
            _tell(report, len(jobs))
            if report.n_there + report.n_done + len(report.failures) < len(jobs):
                stop.check()
    if report.failures:
        from slt_cli.failures import ItemsFailed

        raise ItemsFailed(report.failures, total=len(jobs), what="clips", all_in=failures_path(out, (index, count)))


def _parse_shard(text: str) -> tuple[int, int]:
    from slt.core.errors import UserError

    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise UserError(f"--shard {text} is no part of the work; expected I/N, I from 0 to N-1", fix="--shard 0/4, say")
    return int(index), int(count)


def _tell(report: Report, n_clips: int) -> None:
    """Write what was done, how fast, and what to beware of."""
    from slt.core import log

    for note, count in report.notes.items():
        log.warn(f"{count} {'clip' if count == 1 else 'clips'}: {note}")
    there = f", {report.n_there} were there" if report.n_there else ""
    pace = f", {report.n_features / report.took_s:.4g} features/s" if report.n_done else ""
    failed = f", {len(report.failures)} failed" if report.failures else ""
    log.say(
        f"{report.n_done} of {n_clips} clips ({report.seconds / 3600:.2f} h, {report.n_frames} frames,"
        f" {report.n_features} features) extracted in {log.seconds(report.took_s)}{pace}{there}{failed}"
    )
    if report.usage.is_worth_telling:
        log.say(report.usage.summary())


def _estimate(jobs: list[ClipSource], made_by: Frontend, out: Path) -> None:
    """Print what the clips that are not in the store would take, by a sample of them."""
    from slt.core import log
    from slt.data.features.header import HEADER_NAME
    from slt.data.features.store import FeatureStore
    from slt.extract.run import estimate
    from slt_cli.failures import ItemsFailed

    there = set(FeatureStore.open(out)) if (out / HEADER_NAME).exists() else set()
    todo = [job for job in jobs if job.id not in there]
    if not todo:
        log.result(f"nothing to do: all {len(jobs)} clips are in {out}")
        return
    sample = estimate(todo, made_by)
    n_tried = sample.n_done + len(sample.failures)
    if not sample.n_done:
        raise ItemsFailed(sample.failures, total=n_tried, what="sampled clips")
    scale = len(todo) / n_tried
    took = f"{n_tried} of them, {sample.seconds:.1f} s of video, took {log.seconds(sample.took_s)}"
    failed = f"; {len(sample.failures)} of those failed" if sample.failures else ""
    log.result(
        f"{len(todo)} clips to extract, {len(jobs) - len(todo)} there: about {log.span(sample.took_s * scale)} and"
        f" {log.size(int(sample.n_bytes * scale))} ({took}{failed})"
    )
