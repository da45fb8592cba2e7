"""A translation as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from slt.serve.jobs import Job
from slt.serve.results import sentences_of
from slt.serve.server import Server

HEARTBEAT_S = 15.0


async def follow(server: Server, job: Job, first: int = 0) -> AsyncIterator[str]:
    """Yield events until the translation is finished: ``job``, ``sentence``, ``end``.

    Args:
        server: where it is.
        job: the translation.
        first: sentences that the client has already.
    """
    yield "retry: 2000\n\n"
    sent = first
    while True:
        changed = job.changed
        # Asked before the sentences are sent: more may come while they are.
        ended = job.is_finished or job.id not in server.scheduler.jobs
        if sent > len(job.sentences):  # it began again
            sent = 0
        for sentence in sentences_of(job, sent):
            sent += 1
            yield _event("sentence", sentence, number=sent)
        yield _event("job", server.view(job, sentences=False))
        if ended:
            yield _event("end", {"state": job.state.value})
            return
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await changed.wait()
        except TimeoutError:
            yield ": still here\n\n"


def _event(kind: str, content: object, *, number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"
