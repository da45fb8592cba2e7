"""The server's side of a worker process: start it, give it a video, read its messages, end it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from slt.core.errors import SltError
from slt.core.threads import WAITING
from slt.serve.settings import ServeSettings
from slt.serve.tokens import VARIABLE

LONGEST_LINE = 64 * 1024 * 1024
GRACE_S = 5.0
"""How long a worker may take to leave a cancelled video before it is ended."""


class WorkerEnded(SltError):
    """The worker process ended in the middle of a video."""


class Engine:
    """One worker process, started when it is first needed and again after it ended.

    Args:
        settings: precision, and memory of models and decoders.
        device: where it computes.

    Attributes:
        loaded: models that it holds.
        restarts: how often it had to be started again.
    """

    def __init__(self, settings: ServeSettings, device: str) -> None:
        self._config = {
            "device": device,
            "dtype": settings.dtype,
            "model_bytes": settings.model_bytes,
            "decoder_bytes": settings.decoder_bytes,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._cancelled = ""
        self.loaded: list[str] = []
        self.restarts = -1

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Give the process one request and yield its messages, the last of which says how it ended.

        Raises:
            WorkerEnded: the process died before that.
        """
        process = await self._running()
        await self._send(process, request)
        if self._cancelled and self._cancelled == request.get("id"):  # while the process was started
            await self.cancel(self._cancelled)
        while line := await _line(process):
            message = json.loads(line)
            if message.get("id") != request.get("id"):
                continue  # the rest of an earlier request
            self.loaded = message.get("loaded", self.loaded)
            yield message
            if message["kind"] in ("done", "failed", "cancelled"):
                return
        await self.end()
        raise WorkerEnded(f"the process that translated this video ended: {_how(process.returncode)}")

    async def cancel(self, job: str) -> None:
        """Ask the process to leave a video."""
        self._cancelled = job
        if self._process and self.pid:
            await self._send(self._process, {"do": "cancel", "id": job})

    async def end(self) -> None:
        """End the process and all that it started."""
        process, self._process, self.loaded = self._process, None, []
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self.restarts += 1
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "slt.serve.worker", json.dumps(self._config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=WAITING | {name: value for name, value in os.environ.items() if name != VARIABLE},
                limit=LONGEST_LINE,
                start_new_session=True,  # so that it and what it starts can be ended together
            )
        return self._process

    async def _send(self, process: asyncio.subprocess.Process, request: dict[str, Any]) -> None:
        assert process.stdin is not None
        with suppress(ConnectionError):  # it has ended; reading from it says so
            process.stdin.write(f"{json.dumps(request)}\n".encode())
            await process.stdin.drain()


def _how(code: int | None) -> str:
    return f"killed by signal {-code}" if code is not None and code < 0 else f"it left with code {code}"


def resident_bytes(pid: int) -> int:
    """Return the memory of a process; 0 when it is gone."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    try:
        return await process.stdout.readline()
    except (ValueError, ConnectionError):  # a line beyond all measure; its process is not to be trusted any more
        return b""
