"""What is to be extracted: the clips of manifests, and single videos; and which part of them is one worker's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import UserError
from slt.data.manifest import complaint_about_id, read_manifest
from slt.video.pose_file import pose_beside

MANIFESTS = (".tsv", ".csv", ".txt")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One clip to be turned into features.

    Attributes:
        id: of the clip, and so of its features.
        path: of its video, or of its ``.pose`` file; None: the manifest names none.
        start_s: its first moment in the video; None: the beginning.
        end_s: its last moment, excluded; None: the end.
        pose: the ``.pose`` file that has the joints of its video; None: none is named.
    """

    id: str
    path: Path | None
    start_s: float | None = None
    end_s: float | None = None
    pose: Path | None = None


def gather_jobs(paths: Iterable[Path]) -> list[Job]:
    """Return the clips of manifests (``.tsv``, ``.csv``, ``.txt``) and videos, in their order; one met twice is one.

    Raises:
        UserError: a manifest with mistakes, or two different clips of one id.
    """
    jobs: dict[str, Job] = {}
    for path in paths:
        for job in _jobs_of(path):
            other = jobs.setdefault(job.id, job)
            if other != job:
                raise UserError(
                    f"two clips have the id {job.id}: {_where(other)} and {_where(job)}",
                    fix="extract them into two folders, or rename one",
                )
    return list(jobs.values())


def choose_shard(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Return the part of the jobs that worker ``index`` of ``count`` does: by a hash of the id, the same everywhere."""
    return [job for job in jobs if shard_of(job.id, count) == index]


def shard_of(id: str, count: int) -> int:
    """Return which of ``count`` workers a clip belongs to."""
    return int.from_bytes(hashlib.sha256(id.encode()).digest()[:8]) % count


def _jobs_of(path: Path) -> list[Job]:
    if path.suffix.lower() not in MANIFESTS or path.is_dir():
        return [Job(id=_name(path), path=path, pose=pose_beside(path))]
    manifest = read_manifest(path)
    return [
        Job(
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
        raise UserError(f"{path} cannot name its clip: {name!r:.80} is not {expected}", fix="rename it")
    return name


def _where(job: Job) -> str:
    span = "" if job.start_s is None and job.end_s is None else f" from {job.start_s or 0:g} to {job.end_s or 0:g} s"
    return f"{job.path}{span}"
