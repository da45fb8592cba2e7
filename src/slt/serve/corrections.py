"""Corrected sentences, kept with their videos as a manifest that the trainers take."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from slt.core.leftovers import release, temporary
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.serve.jobs import Job

MANIFEST = "manifest.tsv"
LONGEST_TEXT = 2000


class Corrections:
    """``<data>/corrections``: ``manifest.tsv`` and the corrected clips' videos. They are kept when their job is not.

    Args:
        data: the server's folder.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "corrections"
        self.manifest = self.folder / MANIFEST
        self._writing = threading.Lock()

    def clips(self) -> list[Clip]:
        """Return the corrected sentences, oldest first.

        Raises:
            UserError: the manifest was damaged.
        """
        return list(read_manifest(self.manifest).clips) if self.manifest.is_file() else []

    def keep(self, job: Job, video: Path) -> None:
        """Write a job's corrections into the manifest, in place of its earlier ones.

        Args:
            job: with its corrections.
            video: where its video lies.

        Raises:
            UserError: a text that a manifest cannot hold.
            SltError: the disk failed.
        """
        with self._writing:
            own = self._video_of(job)
            clips = [self._clip(job, int(index), texts) for index, texts in sorted(job.corrections.items()) if texts]
            others = [clip for clip in self.clips() if clip.video != self._relative(own)]
            if clips:
                _link(video, own)
            if clips or self.manifest.is_file():
                write_manifest(self.manifest, [*others, *clips])
            if not clips:
                own.unlink(missing_ok=True)

    def forget(self, job: Job) -> None:
        """Remove a job's corrections and the copy of its video.

        Raises:
            SltError: the disk failed.
        """
        job.corrections = {}
        self.keep(job, self._video_of(job))

    def forget_all(self) -> None:
        """Remove all corrections and the copies of their videos.

        Raises:
            SltError: the disk failed.
        """
        with self._writing:
            if self.manifest.is_file():
                write_manifest(self.manifest, [])
            for video in self.folder.glob("videos/*"):
                video.unlink(missing_ok=True)

    def _video_of(self, job: Job) -> Path:
        return self.folder / "videos" / f"{job.id}{Path(job.file).suffix}"

    def _relative(self, video: Path) -> str:
        return str(video.relative_to(self.folder))

    def _clip(self, job: Job, index: int, texts: dict[str, str]) -> Clip:
        (lang, text), *others = texts.items()
        sentence = job.sentences[index]
        whole = not job.options.sentences
        return Clip(
            id=f"{job.id}-{index:04d}",
            video=self._relative(self._video_of(job)),
            start_s=None if whole else float(sentence["start_s"]),
            end_s=None if whole else float(sentence["end_s"]),
            text=text,
            lang=lang,
            extra={f"text_{other}": words for other, words in others},
        )


def clean_text(text: str) -> str:
    """Return a corrected text as one line of visible characters."""
    plain = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(plain.split())[:LONGEST_TEXT]


def _link(video: Path, target: Path) -> None:
    """Put a video's second name, or a copy of it, at ``target``."""
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        os.link(video, target)
        return
    draft = temporary(target)
    try:
        shutil.copyfile(video, draft)
        draft.replace(target)
    finally:
        release(draft)
