"""Queue of translations, the workers that empty it, and the removal of what is old."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from slt.core import log
from slt.core.errors import SltError, UserError, as_slt_error
from slt.core.registry import did_you_mean
from slt.serve.engine import GRACE_S, Engine, WorkerEnded
from slt.serve.jobs import Job, JobStore, Options, Problem, State
from slt.serve.metrics import Metrics
from slt.serve.settings import ServeSettings
from slt.text.languages import check_languages

CLEAN_EVERY_S = 60.0
MOST_ATTEMPTS = 3
"""A video that was under way each time the server was killed may be what kills it."""

FIRST_GUESS_S = 5.0


class QueueFull(SltError):
    """There is no room for another translation.

    Args:
        retry_s: when there may be.
    """

    def __init__(self, retry_s: int) -> None:
        super().__init__("the queue is full", fix=f"try again in {retry_s} s")
        self.retry_s = retry_s


class Scheduler:
    """All translations the server knows, and the work on them.

    Args:
        settings: limits and devices.
        store: where they are kept.
        metrics: what is counted.
        sources: name of a model → what the worker calls it.

    Attributes:
        jobs: id → translation, oldest first.
    """

    def __init__(self, settings: ServeSettings, store: JobStore, metrics: Metrics, sources: Mapping[str, str]) -> None:
        self.settings = settings
        self._sources = sources
        self.store = store
        self.metrics = metrics
        self.jobs: dict[str, Job] = {}
        self.engines = [Engine(settings, device) for device in settings.devices]
        self._queue: deque[Job] = deque()
        self._reserved = 0
        self._running: dict[str, Engine] = {}
        self._wake = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._mean_s = FIRST_GUESS_S
        self._given_up: set[str] = set()
        metrics.watch(queued=lambda: len(self._queue), running=lambda: len(self._running), engines=self.engines)

    async def start(self) -> None:
        """Take up what earlier servers left, and begin to work."""
        self.store.prepare()
        resumed, lost = 0, 0
        for job in self.store.load():
            self.jobs[job.id] = job
            if job.is_finished:
                continue
            if job.attempts >= MOST_ATTEMPTS:
                problem = Problem(
                    code="lost",
                    message=f"the server ended {job.attempts} times while it translated this video",
                    fix="convert the video to H.264 and upload it again",
                )
                self._finish(job, State.failed, problem)
                lost += 1
                continue
            if job.state == State.running:
                job.note = "the server was restarted while it translated this video, and began again"
            self._requeue(job)
            resumed += 1
        if resumed or lost:
            log.say(f"from the last run: {resumed} translations queued again, {lost} given up")
        self._tasks = [asyncio.create_task(self._work(engine)) for engine in self.engines]
        self._tasks.append(asyncio.create_task(self._clean_up()))

    async def stop(self) -> None:
        """End all work; what is not finished stays queued for the next server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(engine.end() for engine in self.engines))

    @property
    def is_working(self) -> bool:
        """All that should work on translations does."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def n_running(self) -> int:
        """Translations under way."""
        return len(self._running)

    @property
    def n_waiting(self) -> int:
        """Translations that wait, uploads under way included."""
        return len(self._queue) + self._reserved

    def retry_s(self) -> int:
        """Return in how many seconds there may be room, by what translations took lately."""
        return max(1, min(600, round(self._mean_s / len(self.engines))))

    def reserve(self) -> None:
        """Hold a place in the queue for an upload, until ``submit`` or ``release``.

        Raises:
            QueueFull: there is none.
        """
        if self.n_waiting >= self.settings.max_queue:
            self.metrics.refused.inc()
            raise QueueFull(self.retry_s())
        self._reserved += 1

    def release(self) -> None:
        """Give a place back."""
        self._reserved -= 1

    async def submit(self, job: Job) -> None:
        """Queue a job that the store has accepted."""
        self.jobs[job.id] = job
        self._queue.append(job)
        self.metrics.accepted.inc()
        async with self._wake:
            self._wake.notify()

    def position(self, job: Job) -> int | None:
        """Return how many translations come before this one; None: it does not wait."""
        with suppress(ValueError):
            return self._queue.index(job)
        return None

    async def cancel(self, job: Job) -> None:
        """Stop a translation, or take it out of the queue; a finished one stays as it is."""
        if job in self._queue:
            self._queue.remove(job)
            self._notify_queue()
            self._finish(job, State.cancelled)
        elif engine := self._running.get(job.id):
            await engine.cancel(job.id)
            if not await _ends(job) and self._running.get(job.id) is engine:
                self._given_up.add(job.id)  # it does not listen
                await engine.end()
                await _ends(job)

    async def delete(self, job: Job) -> None:
        """Stop a translation and remove all that is kept of it."""
        self.jobs.pop(job.id, None)
        await self.cancel(job)
        await asyncio.to_thread(self.store.remove, job)
        job.notify()

    def _requeue(self, job: Job) -> None:
        job.state, job.sentences, job.started_s = State.queued, [], 0.0
        self._queue.append(job)

    async def _work(self, engine: Engine) -> None:
        """Translate one video after another."""
        for model in list(self._sources.values())[:1]:
            with suppress(SltError):  # the first translation says what is wrong
                async for _ in engine.run({"do": "load", "id": "", "model": model}):
                    pass
        while True:
            async with self._wake:
                await self._wake.wait_for(lambda: bool(self._queue))
                job = self._queue.popleft()
            self._notify_queue()
            self._running[job.id] = engine
            try:
                await self._translate(engine, job)
            except Exception as error:  # it costs this video only
                await engine.end()
                self._finish(job, State.failed, as_problem(as_slt_error(error)))
            finally:
                self._running.pop(job.id, None)

    async def _translate(self, engine: Engine, job: Job) -> None:
        job.state, job.started_s, job.attempts = State.running, time.time(), job.attempts + 1
        job.sentences, job.stage, job.done, job.total = [], "", 0, None
        await asyncio.to_thread(self.store.save, job)
        job.notify()
        request = {
            "do": "translate",
            "id": job.id,
            "path": str(self.store.video(job)),
            "name": job.name,
            "options": {**asdict(job.options), "model": self._sources.get(job.options.model, job.options.model)},
            "max_duration_s": self.settings.max_duration_s,
        }
        try:
            async with asyncio.timeout(self.settings.job_timeout_s):
                async for message in engine.run(request):
                    self._take(job, message)
        except TimeoutError:
            await engine.end()
            minutes = self.settings.job_timeout_s / 60
            problem = Problem(code="timeout", message=f"translating took more than {minutes:.0f} minutes", fix="cut it")
            self._finish(job, State.failed, problem)
        except WorkerEnded as error:
            problem = Problem(code="worker_ended", message=error.message, fix="try a shorter or smaller video")
            cancelled = job.id in self._given_up
            self._finish(job, State.cancelled if cancelled else State.failed, None if cancelled else problem)

    def _take(self, job: Job, message: Mapping[str, Any]) -> None:
        """Note a message of the worker."""
        match message["kind"]:
            case "progress":
                job.stage, job.done, job.total = message["stage"], message["done"], message["total"]
                job.notify()
            case "sentence":
                job.sentences.append({"index": len(job.sentences), **message["sentence"]})
                self.metrics.stages(message["sentence"]["timings_s"])
                job.notify()
            case "joints":
                job.has_joints = True
            case "done":
                self._finish(job, State.done)
            case "cancelled":
                self._finish(job, State.cancelled)
            case "failed":
                self._finish(job, State.failed, Problem(**message["problem"]))

    def _finish(self, job: Job, state: State, problem: Problem | None = None) -> None:
        job.state, job.problem, job.finished_s, job.stage = state, problem, time.time(), ""
        if job.started_s:
            took = max(0.0, job.finished_s - job.started_s)
            self._mean_s += 0.2 * (took - self._mean_s)
            self.metrics.seconds.observe(took)
        self.metrics.finished.labels(state.value).inc()
        try:
            self.store.save(job)
        except SltError as error:
            log.warn(f"the result of {job.name!r} is not on the disk: {error.message}")
        job.notify()

    def _notify_queue(self) -> None:
        for job in self._queue:
            job.notify()

    async def _clean_up(self) -> None:
        """Remove what is old, or more than may be kept."""
        while True:
            now = time.time()
            finished = [job for job in self.jobs.values() if job.is_finished]
            extra = len(finished) - self.settings.max_kept
            for number, job in enumerate(sorted(finished, key=lambda job: job.finished_s)):
                if number < extra or now - job.finished_s > self.settings.keep_s:
                    try:
                        await self.delete(job)
                    except OSError as error:  # named, and tried again by the next server
                        log.warn(f"cannot remove {self.store.video(job).parent}: {error.strerror or error}")
            await asyncio.sleep(min(CLEAN_EVERY_S, max(self.settings.keep_s / 4, 0.05)))


async def _ends(job: Job) -> bool:
    """Wait a moment for a translation to end; return whether it did."""
    try:
        async with asyncio.timeout(GRACE_S):
            while not job.is_finished:
                await job.changed.wait()
    except TimeoutError:
        return False
    return True


def as_problem(error: SltError) -> Problem:
    """Return an error as the API tells it."""
    return Problem(code="server_failure", message=error.message, fix=error.fix or "")


def check_options(options: Options, offered: Mapping[str, tuple[str, ...]]) -> None:
    """Check what a request asks for against the models that are offered, name → languages.

    Raises:
        UserError: an unknown model or language, or a size out of range.
    """
    if options.model not in offered:
        hint = did_you_mean(options.model, offered)
        raise UserError(f"unknown model {options.model!r}; this server has {', '.join(offered)}", fix=hint)
    check_languages(options.langs, offered[options.model])
    if not 1 <= options.nbest <= 5:
        raise UserError(f"found nbest {options.nbest}, expected 1 to 5")
