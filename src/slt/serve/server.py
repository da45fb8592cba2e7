"""All parts of one server, and what the routes share."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request

from slt.core.errors import UserError
from slt.serve.catalogue import Offered, offered_models
from slt.serve.corrections import Corrections
from slt.serve.guard import Guard
from slt.serve.jobs import Job, JobStore
from slt.serve.metrics import Metrics
from slt.serve.refusals import ApiError
from slt.serve.results import sentences_of
from slt.serve.scheduler import Scheduler
from slt.serve.settings import ServeSettings

MOST_LISTED = 1000


class Server:
    """The parts of one server.

    Args:
        settings: what it was told.

    Raises:
        UserError: a model that is not here.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.models: dict[str, Offered] = offered_models(settings.models)
        self.metrics = Metrics()
        self.store = JobStore(settings.data)
        self.corrections = Corrections(settings.data)
        sources = {name: model.source for name, model in self.models.items()}
        self.scheduler = Scheduler(settings, self.store, self.metrics, sources)
        self.guard: Guard | None = None

    def job(self, job_id: str) -> Job:
        """Return a translation.

        Raises:
            ApiError: there is none of this id.
        """
        job = self.scheduler.jobs.get(job_id)
        if job is None:
            raise ApiError(404, "not_found", "there is no such translation", "it may have been deleted or have expired")
        return job

    def view(self, job: Job, *, sentences: bool = True) -> dict[str, Any]:
        """Return a translation as the API gives it."""
        return {
            "id": job.id,
            "name": job.name,
            "size": job.size,
            "state": job.state.value,
            "position": self.scheduler.position(job),
            "stage": job.stage,
            "done": job.done,
            "total": job.total,
            "error": job.problem and asdict(job.problem),
            "note": job.note,
            "created_s": job.created_s,
            "finished_s": job.finished_s or None,
            "expires_s": job.finished_s + self.settings.keep_s if job.is_finished else None,
            "options": asdict(job.options),
            "has_joints": job.has_joints,
            "n_sentences": len(job.sentences),
            **({"sentences": sentences_of(job)} if sentences else {}),
        }

    def videos(self) -> dict[str, Path]:
        """Return the videos that may be translated without an upload, by name; links are not followed."""
        found: dict[str, Path] = {}
        folder = self.settings.videos
        for root, folders, files in os.walk(folder) if folder else ():
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(root, name)
                if not name.startswith(".") and stat.S_ISREG(path.lstat().st_mode):
                    found[str(path.relative_to(str(folder)))] = path
                if len(found) >= MOST_LISTED:
                    return found
        return found


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    server: Server = request.app.state.server
    return server


Here = Annotated[Server, Depends(server_of)]
"""The server, as a parameter of a route."""


def as_user_error(error: UserError) -> ApiError:
    """Return a mistake in what a request asks for."""
    return ApiError(422, "bad_request", error.message, error.fix or "")
