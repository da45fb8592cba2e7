"""Clips to extract, from manifests and single videos, and their division into shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from slt.core.errors import UserError
from slt.data.manifest import complaint_about_id, read_manifest
from slt.frontend.clip import ClipSource

MANIFESTS = (".tsv", ".csv", ".txt", ".parquet")


def gather_jobs(paths: Iterable[Path]) -> list[ClipSource]:
    """Return the clips of manifests (``.tsv``, ``.csv``, ``.txt``) and videos in order, without duplicates.

    Raises:
        UserError: an invalid manifest, or two different clips with the same id.
    """
    jobs: dict[str, ClipSource] = {}
    for path in paths:
        for job in _jobs_of(path):
            other = jobs.setdefault(job.id, job)
            if other != job:
                raise UserError(
                    f"two clips have the id {job.id}: {_where(other)} and {_where(job)}",
                    fix="extract them into different folders, or rename one",
                )
    return list(jobs.values())


def choose_shard(jobs: Sequence[ClipSource], index: int, count: int) -> list[ClipSource]:
    """Return the jobs of worker ``index`` of ``count``, chosen by a hash of the id."""
    return [job for job in jobs if shard_of(job.id, count) == index]


def shard_of(id: str, count: int) -> int:
    """Return the index of the worker, of ``count``, for a clip id."""
    return int.from_bytes(hashlib.sha256(id.encode()).digest()[:8]) % count


def _jobs_of(path: Path) -> list[ClipSource]:
    if path.suffix.lower() not in MANIFESTS or path.is_dir():
        return [ClipSource.of(path, id=_name(path))]
    manifest = read_manifest(path)
    return [
        ClipSource(
            id=clip.id,
            path=manifest.video_path(clip),
            start_s=clip.start_s,
            end_s=clip.end_s,
            pose=manifest.pose_path(clip),
        )
        for clip in manifest.clips
    ]


def _name(path: Path) -> str:
    name = path.absolute().name if path.is_dir() else path.stem
    if expected := complaint_about_id(name):
        raise UserError(f"{path}: found the clip id {name!r:.80}, expected {expected}", fix="rename the file")
    return name


def _where(job: ClipSource) -> str:
    span = "" if job.start_s is None and job.end_s is None else f" from {job.start_s or 0:g} to {job.end_s or 0:g} s"
    return f"{job.path}{span}"
