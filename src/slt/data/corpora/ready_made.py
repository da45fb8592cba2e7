"""Clips that a corpus publishes ready-made: one file per sentence, named by its id, in place of the long videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from slt.data.corpora.listing import Listing
from slt.data.corpora.plan import Part
from slt.data.corpora.registry import Corpus
from slt.data.corpora.videos import VideoIndex
from slt.data.manifest import Clip


def holds_ready_made(listings: Mapping[Path, Listing], corpus: Corpus, videos: Path) -> bool:
    """Return whether a folder given as that of the long videos holds none of them, and clips instead.

    Raises:
        UserError: there is no such folder.
    """
    index = VideoIndex(videos)
    clips = [clip for listing in listings.values() for clip in listing.clips]
    if any(index.find(clip.video or "", clip.extra["split"]) for clip in clips):
        return False
    return any(_file_of(clip, corpus, index)[0] for clip in clips)


def as_ready_made(listing: Listing, corpus: Corpus, folder: Path) -> Listing:
    """Return a list whose clips are the whole files of ``folder``; the list's stamps become ``source_start_s``.

    A folder that holds the clips of another camera only is taken as well, and how many are of that view is counted.

    Raises:
        UserError: there is no such folder.
    """
    index, views = VideoIndex(folder), Counter[str]()

    def whole(clip: Clip) -> Clip:
        place, name, view = _file_of(clip, corpus, index)
        views.update([f"clips of the view {view}"] if place and view else [])
        stamps = {"source_start_s": clip.start_s, "source_end_s": clip.end_s}
        said = {what: repr(value) for what, value in stamps.items() if value is not None}
        return replace(clip, video=name, start_s=None, end_s=None, extra={**clip.extra, **said})

    clips = tuple(whole(clip) for clip in listing.clips)
    warnings = (corpus.clips_note,) if corpus.clips_note else ()
    quirks = {**listing.quirks, **views}
    return replace(listing, clips=clips, quirks=quirks, warnings=(*listing.warnings, *warnings))


def missing_as_published(corpus: Corpus, split: str, part: Part) -> str | None:
    """Return why a split's clips without a file need not worry anyone, None when more or others are missing."""
    n_clips, n_rows = corpus.n_clips.get(split, (0, 0))
    missing = part.missing.total()
    if not missing or len(part.ids) != n_rows or missing != n_rows - n_clips:
        return None
    return f"{split}: {missing:,} of {n_rows:,} sentences have no clip, as published ({n_clips:,} clips)"


def _file_of(clip: Clip, corpus: Corpus, index: VideoIndex) -> tuple[Path | None, str, str]:
    """Return a clip's file, its name, and the view when it is another than the id says."""
    split = clip.extra["split"]
    place = index.find(clip.id, split)
    if place is None and corpus.other_view and clip.id.endswith(corpus.other_view[0]):
        own, other = corpus.other_view
        name = clip.id.removesuffix(own) + other
        if seen := index.find(name, split):
            return seen, name, other.lstrip("-")
    return place, clip.id, ""
