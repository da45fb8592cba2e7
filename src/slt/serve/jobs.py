"""Translations asked of the server, and their folders on disk, which outlive it."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write, publish_folder
from slt.core.leftovers import release, temporary

RECORD = "job.json"
JOINTS = "joints.json"
_ENDINGS = "mp4 m4v mov webm mkv avi gif ts mts mpg mpeg 3gp ogv wmv flv apng y4m pose"
SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
LONGEST_NAME = 200


class State(StrEnum):
    """What became of a translation."""

    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


FINISHED = frozenset({State.done, State.failed, State.cancelled})


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one video is to be translated.

    Attributes:
        model: a name that the server offers.
        langs: FLORES-200 codes.
        sentences: find the sentences and translate each; else the video is one clip.
        nbest: texts per language.
        rerank: read the video four times, rank the texts of all readings, and estimate their confidence.
    """

    model: str
    langs: tuple[str, ...]
    sentences: bool = False
    nbest: int = 1
    rerank: bool = False


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why something failed, as people and programs read it.

    Attributes:
        code: a short name of its kind.
        message: what was found, what was expected.
        fix: what to do next; empty: nothing is known to help.
    """

    code: str
    message: str
    fix: str = ""


@dataclass(kw_only=True)
class Job:
    """One translation.

    Attributes:
        id: unguessable, and the name of its folder.
        name: of the video, as its owner calls it; never a path.
        file: name of the video inside the folder.
        size: of the video, in bytes.
        options: how to translate.
        state: what became of it.
        created_s: when it was accepted, in seconds since 1970.
        started_s: when work on it began; 0: not yet.
        finished_s: when it ended; 0: not yet.
        attempts: how often work on it began: more than once after a server was killed.
        problem: why it failed.
        note: what its owner should know about its history.
        sentences: what was translated so far, in the order of the video.
        corrections: index of a sentence → language → text.
        stage: what is being done.
        done: how much of it.
        total: of how much; None: unknown.
    """

    id: str
    name: str
    file: str
    size: int
    options: Options
    state: State = State.queued
    created_s: float = 0.0
    started_s: float = 0.0
    finished_s: float = 0.0
    attempts: int = 0
    problem: Problem | None = None
    note: str = ""
    sentences: list[dict[str, Any]] = field(default_factory=list)
    corrections: dict[str, dict[str, str]] = field(default_factory=dict)
    stage: str = ""
    done: int = 0
    total: int | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_joints: bool = False

    @property
    def is_finished(self) -> bool:
        """It is done, failed or cancelled."""
        return self.state in FINISHED

    def notify(self) -> None:
        """Wake all who wait for a change."""
        before, self.changed = self.changed, asyncio.Event()
        before.set()

    def record(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return kept | {"options": asdict(self.options), "problem": self.problem and asdict(self.problem)}

    @classmethod
    def of_record(cls, record: dict[str, Any], *, where: str) -> Job:
        """Return the job that ``record`` described.

        Raises:
            UserError: it describes none.
        """
        try:
            return cls(
                **{name: record[name] for name in _KEPT if name not in ("state", "options", "problem")},
                state=State(record["state"]),
                options=parse(Options, record["options"], where=where),
                problem=parse(Problem, record["problem"], where=where) if record["problem"] else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where} describes no translation: {error!r}") from error


_KEPT = (
    *("id", "name", "file", "size", "state", "created_s", "started_s", "finished_s", "attempts", "note"),
    *("sentences", "corrections", "has_joints", "options", "problem"),
)


def new_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_hex(16)


def shown_name(name: str) -> str:
    """Return a file name as text to show: without folders, control characters or excess length."""
    plain = re.split(r"[/\\]", name)[-1]
    plain = "".join(character for character in plain if character.isprintable()).strip()
    return plain[:LONGEST_NAME] or "video"


def stored_name(name: str) -> str:
    """Return the name under which a video is stored: only the ending of its own, and only a known one."""
    suffix = Path(shown_name(name)).suffix.lower()
    return f"video{suffix if suffix in SUFFIXES else '.bin'}"


class JobStore:
    """The folders of all translations, ``<data>/jobs/<id>``: a video and ``job.json``.

    Args:
        data: the server's folder.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "jobs"

    def prepare(self) -> None:
        """Make the folder, and remove what killed servers left half-uploaded there.

        Raises:
            SltError: the folder cannot be written.
        """
        with atomic_write(self.folder / ".writable") as file:
            file.write(b"")
        (self.folder / ".writable").unlink(missing_ok=True)
        for draft in self.folder.glob(".*.part*"):
            release(draft)

    def draft(self) -> Path:
        """Make the hidden folder of an upload; it becomes a job by ``accept``, or is removed by ``release``."""
        folder = temporary(self.folder / new_id())
        folder.mkdir(parents=True)
        return folder

    def accept(self, draft: Path, job: Job) -> None:
        """Turn an upload into a job: from here on it outlives the server.

        Raises:
            SltError: the disk failed.
        """
        _write(draft / RECORD, job.record())
        publish_folder(draft, self.folder / job.id)
        release(draft)

    def save(self, job: Job) -> None:
        """Write what is known of a job, unless its folder is gone.

        Raises:
            SltError: the disk failed.
        """
        if (self.folder / job.id).is_dir():
            _write(self.folder / job.id / RECORD, job.record())

    def video(self, job: Job) -> Path:
        """Return where a job's video lies."""
        return self.folder / job.id / job.file

    def joints(self, job: Job) -> Path:
        """Return where the joints lie that a model saw."""
        return self.folder / job.id / JOINTS

    def remove(self, job: Job) -> None:
        """Remove a job's folder: the name first, so that a killed server forgets it all the same."""
        folder = self.folder / job.id
        hidden = temporary(folder)
        try:
            folder.rename(hidden)
        except FileNotFoundError:
            return
        shutil.rmtree(hidden, ignore_errors=True)
        release(hidden)

    def load(self) -> Iterator[Job]:
        """Yield the jobs of earlier servers, oldest first; a folder that describes none is kept and named.

        What was under way is queued again.
        """
        jobs = []
        for path in sorted(self.folder.glob(f"[!.]*/{RECORD}")):
            try:
                job = Job.of_record(json.loads(path.read_text("utf-8")), where=str(path))
            except (OSError, ValueError, UserError) as error:
                job = _damaged(path.parent, error)
            jobs.append(job)
        yield from sorted(jobs, key=lambda job: job.created_s)


def _damaged(folder: Path, error: Exception) -> Job:
    video = next((path.name for path in sorted(folder.glob("video.*"))), "video.bin")
    problem = Problem(
        code="lost",
        message=f"the record of this translation cannot be read: {error}",
        fix="upload the video again",
    )
    return Job(
        id=folder.name,
        name="video",
        file=video,
        size=0,
        options=Options(model="", langs=()),
        state=State.failed,
        problem=problem,
        finished_s=time.time(),
    )


def _write(path: Path, content: object) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, ensure_ascii=False).encode())
