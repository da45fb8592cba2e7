"""A server in this process whose worker is a stand-in, and the videos it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from fastapi.testclient import TestClient

from slt.serve.app import create_app
from slt.serve.engine import WorkerEnded
from slt.serve.settings import ServeSettings

VIDEO = b"\0\0\0\x18ftypmp42 not a video, but nobody looks"
SENTENCE: dict[str, Any] = {
    "start_s": 0.0,
    "end_s": 3.4,
    "signer": {"box": [0, 0, 224, 224], "method": "whole picture"},
    "warnings": [],
    "timings_s": {"text": 0.1},
}


class StandIn:
    """In place of a worker process: what it does depends on the video's name.

    ``slow``: works until it is cancelled; ``stuck``: and does not listen; ``crash``: its process dies; ``broken``: it
    fails; ``odd``: it says what makes no sense.
    """

    running: ClassVar[list[StandIn]] = []

    def __init__(self, settings: ServeSettings, device: str) -> None:
        self.loaded: list[str] = []
        self.restarts = 0
        self.pid = None
        self.requests: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self.cancelled: set[str] = set()
        StandIn.running.append(self)

    async def run(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.requests.append(request)
        if request["do"] == "load":
            self.loaded = [request["model"]]
            return
        job, name = request["id"], request["name"]
        yield {"kind": "progress", "id": job, "stage": "windows", "done": 0, "total": 2}
        if name.startswith(("slow", "stuck")):
            while job not in self.cancelled and not self.ended.is_set():
                await asyncio.sleep(0.005)
            if self.ended.is_set():
                raise WorkerEnded("the process that translated this video ended: killed by signal 9")
            yield {"kind": "cancelled", "id": job}
            return
        if name.startswith("crash"):
            raise WorkerEnded("the process that translated this video ended: killed by signal 11")
        if name.startswith("odd"):
            yield {"kind": "sentence", "id": job}
        if name.startswith("broken"):
            problem = {"code": "bad_video", "message": f"{name} is not a video", "fix": "choose another"}
            yield {"kind": "failed", "id": job, "problem": problem}
            return
        for number in range(2 if request["options"]["sentences"] else 1):
            texts = {
                lang: [{"text": f"{lang} {number} {n}", "score": -0.5} for n in range(request["options"]["nbest"])]
                for lang in request["options"]["langs"]
            }
            if request["options"]["model"] == "fingerspelling":
                letters = [{"letter": one, "confidence": sure, "at": 0.5} for one, sure in (("A", 0.98), ("J", 0.41))]
                texts = {lang: [{"text": "AJ", "score": -0.5, "letters": letters}] for lang in texts}
            times = {"start_s": 2.0 * number, "end_s": 2.0 * number + 1.5}
            yield {"kind": "sentence", "id": job, "sentence": {**SENTENCE, **times, "texts": texts}}
        yield {"kind": "done", "id": job}

    async def cancel(self, job: str) -> None:
        if not any(request.get("name", "").startswith("stuck") for request in self.requests):
            self.cancelled.add(job)

    async def end(self) -> None:
        self.ended.set()


Serve: TypeAlias = Callable[..., TestClient]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers with these settings; all of them end with the test."""
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    StandIn.running.clear()
    with ExitStack() as running:

        def start(address: str = "http://127.0.0.1:8000", **changed: Any) -> TestClient:
            settings = ServeSettings(**({"models": ("demo",), "data": tmp_path / "data"} | changed))
            client = TestClient(create_app(settings), base_url=address, raise_server_exceptions=False)
            return running.enter_context(client)

        yield start


def upload(client: TestClient, name: str = "clip.mp4", content: bytes = VIDEO, **fields: Any) -> Any:
    return client.post("/api/v1/translations", files={"file": (name, content)}, data=fields)


def until(client: TestClient, job: str, *states: str) -> dict[str, Any]:
    """Return a translation once it is in one of these states."""
    import time

    for _ in range(2000):
        found: dict[str, Any] = client.get(f"/api/v1/translations/{job}").json()
        if found["state"] in (states or ("done", "failed", "cancelled")):
            return found
        time.sleep(0.005)
    raise AssertionError(f"still {found['state']}")
