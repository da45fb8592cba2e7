from __future__ import annotations

import asyncio
from types import SimpleNamespace

from slt.serve.events import follow
from slt.serve.jobs import Job, Options, State


def test_sentences_that_come_while_others_are_sent_are_not_lost():
    job = Job(id="1", name="a", file="a", size=1, options=Options(model="m", langs=("eng_Latn",)), state=State.running)
    server = SimpleNamespace(
        scheduler=SimpleNamespace(jobs={"1": job}), view=lambda job, sentences: {"state": job.state.value}
    )

    async def run() -> list[str]:
        events = follow(server, job)
        said = [await anext(events), await anext(events)]  # the head, and the job as it is
        job.sentences.append({"index": 0})
        job.state = State.done
        job.notify()
        return [*said, *[event async for event in events]]

    kinds = [event.partition("event: ")[2].partition("\n")[0] for event in asyncio.run(run())]
    assert kinds == ["", "job", "sentence", "job", "end"]


def test_a_client_that_waits_hears_that_the_server_is_there(monkeypatch):
    monkeypatch.setattr("slt.serve.events.HEARTBEAT_S", 0.01)
    job = Job(id="1", name="a", file="a", size=1, options=Options(model="m", langs=()))
    server = SimpleNamespace(scheduler=SimpleNamespace(jobs={"1": job}), view=lambda job, sentences: {})

    async def run() -> str:
        events = follow(server, job)
        return [await anext(events) for _ in range(3)][2]

    assert asyncio.run(run()) == ": still here\n\n"
