"""Reading clips in processes of their own: the same features, and a process that dies costs one clip."""

from __future__ import annotations

import os
import signal
from threading import Event

import pytest

from slt.core.errors import SltError, UserError
from slt.core.signals import SIGNALS
from slt.extract.jobs import gather_jobs
from slt.frontend import run
from slt.frontend.base import Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend
from slt.frontend.remote import RemoteReader
from slt.frontend.run import many_clip_features, needs_processes
from slt.frontend.usage import CROP, DECODE, SIGNER, Usage
from slt.video.cache import CACHE_BYTES


@pytest.fixture(scope="module")
def frontend(bundle):
    return load_frontend(None, Settings(model=str(bundle), device="cpu"))


@pytest.mark.slow
def test_features_warnings_and_errors_are_those_of_threads(frontend, videos, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    clips = gather_jobs([*videos[:4], broken])
    usage = Usage()
    there, here = (
        {one.clip.id: one for one in many_clip_features(clips, frontend, n_workers=1, processes=how, usage=usage)}
        for how in (True, False)
    )
    for id, expected in here.items():
        found = there[id]
        if expected.error:
            assert (type(found.error), found.error.message) == (type(expected.error), expected.error.message)
            continue
        assert found.found.readings[0][0].equal(expected.found.readings[0][0])
        assert found.found.n_frames == expected.found.n_frames
        assert found.found.warnings == expected.found.warnings
        assert found.found.signer == expected.found.signer
    assert isinstance(there["broken"].error, UserError)
    assert set(usage.reading) == {SIGNER, DECODE, CROP}


@pytest.mark.slow
def test_a_process_that_dies_or_is_given_up_costs_its_clip_and_another_takes_its_place(frontend, videos):
    reader = RemoteReader(frontend, CACHE_BYTES)
    clip = ClipSource(id="v11", path=videos[11])
    inputs = reader.inputs(reader.open(clip))
    for number in SIGNALS:  # a scheduler signals all processes of a job
        os.kill(reader._process.pid, number)
    assert next(inputs).content.shape == (16, 32, 32, 3)
    inputs.close()
    assert reader._process is None
    opened = reader.open(clip)
    with pytest.raises(SltError, match="is read by another process"):
        next(opened.video.timed_frames())
    os.kill(reader._process.pid, signal.SIGKILL)
    reader._process.wait()
    with pytest.raises(SltError, match="the process that read the clip ended with -9"):
        reader.open(clip)
    reader.close()


def test_only_what_a_device_computes_is_read_by_processes(frontend, monkeypatch):
    monkeypatch.setattr(run, "is_accelerator", lambda device: True)
    assert needs_processes(frontend)
    assert not needs_processes(load_frontend("keypoints", Settings(model=None, device="cpu")))


def test_readers_that_hang_are_interrupted_when_the_engine_is_left(frontend):
    waiting = []

    class Hanging:
        """As a reader whose process is stuck on a slow disk."""

        def __init__(self):
            self.interrupted = Event()

        def open(self, clip):
            waiting.append(clip)
            assert self.interrupted.wait(60)
            raise SltError("interrupted")

        def interrupt(self):
            self.interrupted.set()

        def close(self):
            """Nothing is to be ended."""

    readers = [Hanging() for _ in range(8)]
    jobs = [(ClipSource(id=str(number), path=None), None) for number in range(8)]
    engine = run._Engine(jobs, frontend, n_workers=8, readers=readers)

    class Stop:
        """Asked for once all readers hang."""

        @property
        def requested(self):
            return len(waiting) == 8

    assert not list(engine.run(stop=Stop()))
    assert not [thread for thread in engine._threads if thread.is_alive()]
