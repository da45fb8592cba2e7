"""Validate manifests: coverage, and clips that would harm training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError
from slt.core.workers import workers
from slt.data.corpora.listing import split_of
from slt.data.corpora.registry import HOW2SIGN
from slt.data.features.keypoints import SKELETON_OF
from slt.data.features.open import open_features
from slt.data.features.store import Features
from slt.data.findings import (
    CHECKS,
    FASTEST,
    LONGEST_S,
    LONGEST_TEXT,
    SHORTEST_S,
    Check,
    Entry,
    Finding,
    finding,
)
from slt.data.manifest import Manifest, scan_manifest
from slt.data.overlaps import overlaps
from slt.data.unicode_forms import forms_of
from slt.env.checks import CheckResult
from slt.video.folder import FPS
from slt.video.keypoint_files import measure_keypoints, read_keypoint_file
from slt.video.pose_file import holds_keypoints
from slt.video.span import open_span

Progress = Callable[[str, int, int | None], None]

NAMED = 5  # examples in a table's cell


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found.

    Attributes:
        manifests: as far as they could be read.
        entries: their clips.
        findings: what is wrong with which.
        looked_at: the checks that were made.
    """

    manifests: Sequence[Manifest]
    entries: Sequence[Entry]
    findings: Sequence[Finding]
    looked_at: Sequence[str]

    @cached_property
    def coverage(self) -> dict[str, dict[str, float]]:
        """Split → clips, with_video, with_keypoints, with_features, with_text, hours (where the length is known)."""
        splits: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            count = splits[entry.split]
            count["clips"] += 1
            count["with_video"] += entry.has_video
            count["with_keypoints"] += entry.keypoints_s is not None
            count["with_features"] += entry.has_features
            count["with_text"] += bool(entry.clip.texts() or entry.clip.text)
        names = ("clips", "with_video", "with_keypoints", "with_features", "with_text")
        hours = {split: sum(e.duration_s or 0.0 for e in self.entries if e.split == split) for split in splits}
        return {
            split: {**{name: count[name] for name in names}, "hours": round(hours[split] / 3600, 4)}
            for split, count in splits.items()
        }

    @cached_property
    def results(self) -> list[CheckResult]:
        """One row per check."""
        by_check: dict[str, list[Finding]] = defaultdict(list)
        for one in self.findings:
            by_check[one.check].append(one)
        return [_result(CHECKS[name], by_check[name]) for name in self.looked_at]


def examine(
    paths: Sequence[Path], *, features: Path | None = None, decode: bool = False, progress: Progress | None = None
) -> Report:
    """Look at manifests, together: the parts of one corpus.

    Args:
        paths: the manifests.
        features: a feature store, or folder of feature files, to check too.
        decode: read every clip's video to its end.
        progress: called with what is being checked, how much of it is done, and how much there is.

    Raises:
        UserError: a manifest that cannot be read at all; no such features.
    """
    progress = progress or (lambda what, done, total: None)
    scanned = [scan_manifest(path) for path in paths]
    findings = [
        Finding(check="rows", manifest=index, row=f"line {one.line}", reason=str(one))
        for index, (_, mistakes) in enumerate(scanned)
        for one in mistakes
    ]
    manifests = [manifest for manifest, _ in scanned]
    store = open_features(features) if features else None
    entries = [entry for index, manifest in enumerate(manifests) for entry in _entries(index, manifest, store)]
    findings += [one for entry in entries for one in _about_clip(entry)]
    findings += overlaps(entries)
    looked_at = [name for name in CHECKS if name not in ("features", "decoding", "oddities")]
    if store is not None:
        findings += _features(entries, store, progress)
        looked_at.append("features")
    if decode:
        findings += _decoded(entries, progress)
        looked_at += ["decoding", "oddities"]
    return Report(manifests=manifests, entries=entries, findings=findings, looked_at=looked_at)


def _result(check: Check, findings: Sequence[Finding]) -> CheckResult:
    if not findings:
        return CheckResult(name=check.name, status="ok", found="all well", expected=check.expected)
    named = "; ".join(one.reason for one in findings[:NAMED])
    more = f"; and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
    found = f"{len(findings)}: {named}{more}"
    return CheckResult(name=check.name, status=check.status, found=found, expected=check.expected, fix=check.fix)


def _entries(index: int, manifest: Manifest, store: Features | None) -> Iterator[Entry]:
    here: dict[Path, bool] = {}
    measured: dict[Path, float | str] = {}
    for clip in manifest.clips:
        video = manifest.video_path(clip)
        if video is not None and video not in here:
            here[video] = video.exists()
        own = clip.extra.get("features")
        pose = manifest.pose_path(clip) or (video if video is not None and holds_keypoints(video) else None)
        if pose is not None and pose not in measured:
            measured[pose] = _measured(pose)
        lasts = measured[pose] if pose is not None else None
        yield Entry(
            manifest=index,
            split=clip.extra.get("split") or split_of(manifest.path) or manifest.path.stem,
            clip=clip,
            video=video,
            has_video=video is not None and here[video],
            has_features=clip.id in store if store is not None else bool(own and (manifest.folder / own).is_file()),
            keypoints=pose,
            keypoints_s=lasts if isinstance(lasts, float) else None,
            complaint=lasts if isinstance(lasts, str) else None,
        )


def _measured(pose: Path) -> float | str:
    """Return how long a keypoint file is, in seconds; or why that cannot be told."""
    try:
        n_frames, fps = measure_keypoints(pose)
    except SltError as error:
        return error.message
    return n_frames / (fps or FPS)  # as keypoints without a rate are read


def _about_clip(entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with a clip by itself."""
    clip, text, lasts = entry.clip, entry.clip.text or "", entry.duration_s
    if entry.video is not None and not entry.has_video and not entry.has_features:
        yield finding("video files", entry, f"{clip.video} is not there")
    if entry.complaint:
        yield finding("keypoint files", entry, entry.complaint)
    if entry.video is None and entry.keypoints_s is None and not entry.has_features:
        yield finding("nothing to see", entry, "neither a video nor keypoints nor features")
    if clip.id in HOW2SIGN.without_signing:
        yield finding("no signing", entry, "this clip of How2Sign is known to show no signing")
    if not text and not clip.texts():
        yield finding("texts", entry, "no text")
    if len(text) > LONGEST_TEXT:
        yield finding("long texts", entry, f"{len(text)} characters")
    if forms := [form for form in forms_of({text, *clip.texts().values()}) if form != "NFC"]:
        yield finding("letters", entry, f"its text is in {' and '.join(forms)}")
    if lasts is not None and not SHORTEST_S <= lasts <= LONGEST_S:
        yield finding("durations", entry, f"{lasts:.2f} s")
    elif lasts and len(text) / lasts > FASTEST:
        yield finding("reading speed", entry, f"{len(text) / lasts:.0f} characters per second")


def _features(entries: Sequence[Entry], store: Features, progress: Progress) -> Iterator[Finding]:
    """Yield which features cannot be read, are of another shape than the others', or are not numbers."""
    here = [entry for entry in entries if entry.has_features]
    for done, entry in enumerate(here, 1):
        progress("features", done, len(here))
        try:
            rows = store[entry.clip.id]
        except SltError as error:
            yield finding("features", entry, error.message)
            continue
        if complaint := _complaint_about(rows, may_have_gaps=store.header.extractor in SKELETON_OF):
            yield finding("features", entry, complaint)


def _complaint_about(rows: NDArray[Any], *, may_have_gaps: bool) -> str | None:
    """Return what is wrong with a clip's features; NaN may stand where a joint was not seen, but not everywhere."""
    if not rows.size:
        return "no rows"
    if may_have_gaps:
        if np.isinf(rows).any():
            return "not all numbers are finite"
        return None if np.isfinite(rows).any() else "nobody in any frame"
    return None if np.isfinite(rows).all() else "not all numbers are finite"


def _decoded(entries: Sequence[Entry], progress: Progress) -> Iterator[Finding]:
    """Yield which clips' videos or keypoints cannot be read to their end, and what is odd about others."""
    seen = [entry for entry in entries if entry.has_video and entry.video != entry.keypoints]
    jobs = [(entry.video or Path(), entry.clip.start_s, entry.clip.end_s) for entry in seen]
    posed = [entry for entry in entries if entry.keypoints_s is not None]
    jobs += [(entry.keypoints or Path(), None, None) for entry in posed]
    here = [*seen, *posed]
    if not jobs:
        return
    with workers(len(jobs)) as pool:
        for done, (entry, said) in enumerate(zip(here, pool.map(_read_to_its_end, jobs), strict=True), 1):
            progress("videos", done, len(jobs))
            if isinstance(said, SltError):
                yield finding("decoding", entry, said.message)
            elif said:
                yield finding("oddities", entry, "; ".join(said))


def _read_to_its_end(job: tuple[Path, float | None, float | None]) -> list[str] | SltError:
    """Decode all frames of a clip, or read its keypoints; return its warnings, or why it cannot be read."""
    try:
        if holds_keypoints(job[0]):
            return list(read_keypoint_file(job[0]).warnings)
        span = open_span(*job)
        with closing(span.frames()) as frames:
            for _ in frames:
                pass
    except SltError as error:
        return error
    return span.warnings
