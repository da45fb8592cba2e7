"""Run a plan of ``slt prepare``, and report what was counted, what is missing and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slt.core.errors import SltError
    from slt.data.corpora.listing import Listing
    from slt.data.corpora.plan import Part, Plan
    from slt.data.corpora.registry import Corpus

Out = Annotated[Path, typer.Option(metavar="DIR", help="Output folder; a stopped run resumes in it.")]
Lists = Annotated[
    list[Path], typer.Option("--csv", metavar="FILE", help="The corpus's own list of sentences; may be repeated.")
]
Videos = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder tree of its videos; without it, texts only.")]
Clips = Annotated[
    Path | None,
    typer.Option("--clips", metavar="DIR", help="Folder of ready-made clips, one file per row; instead of --videos."),
]
NoCut = Annotated[
    bool, typer.Option("--no-cut", help="Refer to segments of the long videos; nothing is encoded or copied.")
]
SplitName = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Split of the list; default: from its file name.")
]


def check_lang(lang: str | None) -> None:
    """Check that a language, if one is given, is a FLORES-200 code.

    Raises:
        UserError: it is none; the nearest are given.
    """
    from slt.text.languages import LANGUAGE_NAMES, check_languages

    if lang is not None:
        check_languages([lang], tuple(LANGUAGE_NAMES))


def prepare_listings(
    corpus: str,
    listings: Mapping[Path, Listing],
    videos: Path | None,
    out: Path,
    *,
    cut: bool = True,
    options: Mapping[str, str | None],
    clips_of: Corpus | None = None,
) -> None:
    """Prepare what was read, print the manifests, and tell what was counted, what is missing and what failed."""
    from slt.core import log
    from slt.data.corpora.plan import Plan
    from slt.data.corpora.prepare import prepare

    said = {name: value for name, value in options.items() if value is not None}
    plan = Plan(corpus=corpus, listings=listings, videos=videos, out=out, cut=cut, options=said)
    with log.bars() as bars:
        parts = prepare(plan, bars.update)
    for warning in dict.fromkeys(warning for listing in listings.values() for warning in listing.warnings):
        log.warn(warning)
    for split, part in parts.items():
        log.say(_summary(split, part))
        log.result(str(out / f"{split}.tsv"))
    quirks = sum((Counter(listing.quirks) for listing in listings.values()), Counter())
    if quirks:
        log.say("in the lists: " + ", ".join(f"{what}: {n}" for what, n in quirks.items()))
    missing = _not_as_published(clips_of, parts) if clips_of else {split: part.missing for split, part in parts.items()}
    _tell_failures(plan, parts, sum(missing.values(), Counter()))


def _not_as_published(corpus: Corpus, parts: Mapping[str, Part]) -> dict[str, Counter[str]]:
    """Say which splits lack just the clips that were never published; return what else is missing."""
    from slt.core import log
    from slt.data.corpora.ready_made import missing_as_published

    missing: dict[str, Counter[str]] = {}
    for split, part in parts.items():
        if explained := missing_as_published(corpus, split, part):
            log.say(explained)
        else:
            missing[split] = part.missing
    return missing


def _summary(split: str, part: Part) -> str:
    here = sum(clip.video is not None for clip in part.clips)
    hours = sum(clip.duration_s or 0.0 for clip in part.clips) / 3600
    done = "".join(f", {what}: {n}" for what, n in part.counts.items())
    return f"{split}: {len(part.clips)} clips, {here} with video, {hours:.2f} h{done}"


def _tell_failures(plan: Plan, parts: Mapping[str, Part], missing: Counter[str]) -> None:
    """Report missing videos (→ how many clips are in them); raise when any should be there, or rows failed.

    Raises:
        ItemsFailed: each is listed.
    """
    from slt.core import log
    from slt.core.errors import UserError
    from slt.data.corpora.provenance import NAME
    from slt_cli.failures import ItemsFailed

    failures: list[tuple[str, SltError]] = [one for listing in plan.listings.values() for one in listing.failures]
    failures += [one for part in parts.values() for one in part.failures]
    if missing and plan.videos is None:
        clips = f"{missing.total()} clips have no video, since no --videos was given"
        log.warn(f"{clips}; {plan.out / NAME} lists the {len(missing)} videos they are in")
    elif missing:
        for name, n in missing.items():
            clips = "a clip is" if n == 1 else f"{n} clips are"
            error = UserError(f"no video {name} below {plan.videos}: {clips} without", fix="get the missing videos")
            failures += [(name, error)] * n
    if failures:
        rows = sum(listing.rows for listing in plan.listings.values())
        raise ItemsFailed(failures, total=rows, what="rows", all_in=plan.out / NAME)
