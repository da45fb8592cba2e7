"""Prepare a corpus: from its original files to manifests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slt.assets.lock import folder_lock
from slt.core.errors import SltError, UserError
from slt.core.leftovers import remove_leftovers
from slt.core.signals import stop_requests
from slt.core.workers import workers
from slt.data.corpora.cut import Cut, Length, cut, measure
from slt.data.corpora.plan import Part, Plan
from slt.data.corpora.provenance import begin_provenance, finish_provenance
from slt.data.corpora.videos import VideoIndex
from slt.data.manifest import Clip, write_manifest

Progress = Callable[[str, int, int | None], None]
DOUBTFUL_S = 0.2  # a clip shorter than this may lie between two frames
TOO_SHORT_S = 0.5
VIDEOS = "videos"  # the folder of cut clips, one folder below it per split


def prepare(plan: Plan, progress: Progress) -> dict[str, Part]:
    """Write a manifest per split, and cut the clips that are segments of longer videos.

    A run that was killed goes on where it stopped when it is called again, and ends as if it never had been.

    Args:
        plan: what to make, where.
        progress: called with what is being made, how much of it is done, and how much there will be.

    Returns:
        Each split, as its manifest ``out/<split>.tsv`` tells it; ``out/prepare.json`` keeps what was counted.

    Raises:
        UserError: ``out`` holds another corpus or other options, or cannot be written to; no such folder of videos.
        Stopped: as asked; everything cut so far is kept.
    """
    index = VideoIndex(plan.videos)
    with folder_lock(plan.out), stop_requests() as stop:
        note = begin_provenance(plan)
        for folder in (plan.out, *(plan.out / VIDEOS).glob("*")):
            remove_leftovers(folder)

        def each(job: Callable[[Any], Any], items: Sequence[Any], what: str) -> list[Any]:
            done: list[Any] = []
            if not items:
                return done
            with workers(len(items)) as pool:
                for result in pool.map(job, items):
                    done.append(result)
                    progress(what, len(done), len(items))
                    stop.check()
            return done

        clips = [clip for listing in plan.listings.values() for clip in listing.clips]
        places = [index.find(clip.video or "", clip.extra["split"]) for clip in clips]
        pairs = zip(clips, places, strict=True)
        # A clip that is a whole video, and says how long, has nothing that could lie outside.
        sources = sorted({place for clip, place in pairs if place and (_is_segment(clip) or not clip.duration_s)})
        lengths = dict(zip(sources, each(measure, sources, "videos"), strict=True))
        parts = {split: Part() for split in dict.fromkeys(clip.extra["split"] for clip in clips)}
        for clip, place in zip(clips, places, strict=True):
            _take(clip, place, lengths, parts[clip.extra["split"]])
        _cut_or_probe(plan.out, parts, each, cut_clips=plan.cut)
        for split, part in parts.items():
            write_manifest(plan.out / f"{split}.tsv", part.clips)
        finish_provenance(plan, note, parts)
    return parts


def _is_segment(clip: Clip) -> bool:
    return clip.start_s is not None or clip.end_s is not None


def _take(clip: Clip, place: Path | None, lengths: Mapping[Path, Length | SltError], part: Part) -> None:
    """Take a clip into its split, its times within its video; or note why not."""
    length = lengths.get(place) if place else None
    if clip.id in part.ids:
        part.failures.append((clip.id, UserError(f"another clip of this split has the id {clip.id}")))
    elif isinstance(length, SltError):
        part.failures.append((clip.id, length))
    elif length and (clip.start_s or 0.0) >= length.seconds:
        begins = f"{clip.id} begins at {clip.start_s:g} s, and its video lasts {length.seconds:.2f} s: {place}"
        part.failures.append((clip.id, UserError(begins)))
    else:
        if length and clip.end_s is not None and clip.end_s > length.seconds:
            part.counts["ends past their video's, put back"] += 1
            clip = replace(clip, end_s=round(length.seconds, 6))
        if length and not _is_segment(clip):
            listed = clip.extra.get("n_frames", "")
            if listed.isdecimal() and int(listed) != length.n_frames:
                part.counts["other numbers of frames than listed"] += 1
            clip = replace(clip, extra={**clip.extra, "duration": repr(round(length.seconds, 6))})
        if not place:
            part.missing[clip.video or ""] += 1
        part.clips.append(replace(clip, video=str(place) if place else None))
    part.ids.add(clip.id)


def _cut_or_probe(out: Path, parts: Mapping[str, Part], each: Callable[..., list[Any]], *, cut_clips: bool) -> None:
    """Make a file of every clip that is a segment of a video; or only see whether very short ones show a frame."""
    jobs = {
        (split, index): Cut(
            source=Path(clip.video),
            start_s=clip.start_s,
            end_s=clip.end_s,
            target=out / VIDEOS / split / f"{clip.id}.mp4" if cut_clips else None,
        )
        for split, part in parts.items()
        for index, clip in enumerate(part.clips)
        if clip.video and _is_segment(clip) and (cut_clips or (clip.duration_s or math.inf) < DOUBTFUL_S)
    }
    dropped: dict[str, set[int]] = {split: set() for split in parts}
    for (split, index), made in zip(jobs, each(cut, list(jobs.values()), "clips"), strict=True):
        part = parts[split]
        clip = part.clips[index]
        if isinstance(made, Length):
            made = _taken(clip, made, f"{VIDEOS}/{split}/{clip.id}.mp4")
        if isinstance(made, SltError):
            part.failures.append((clip.id, made))
            dropped[split].add(index)
        elif made is not None:
            part.clips[index] = made
    for split, part in parts.items():
        part.clips = [clip for index, clip in enumerate(part.clips) if index not in dropped[split]]


def _taken(clip: Clip, length: Length, video: str) -> Clip | SltError:
    """Return a clip as it is once it has been cut; or what is wrong when it came out too short."""
    if clip.duration_s and length.seconds < clip.duration_s - TOO_SHORT_S:
        found = f"only {length.seconds:.2f} of its {clip.duration_s:.2f} s could be decoded"
        return UserError(f"{found}: {clip.video} is truncated or damaged", fix="copy or download that video again")
    times = {"source_start_s": clip.start_s, "source_end_s": clip.end_s}
    came_from = {name: repr(value) for name, value in times.items() if value is not None}
    end_s = round(length.seconds, 6)
    return replace(clip, video=video, start_s=0.0, end_s=end_s, extra={**clip.extra, **came_from})
