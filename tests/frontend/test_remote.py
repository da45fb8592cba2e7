"""Reading clips in processes of their own: the same features, and a process that dies costs one clip."""

from __future__ import annotations

import os
import signal

import pytest

from slt.core.errors import SltError, UserError
from slt.extract.jobs import gather_jobs
from slt.frontend.base import Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend
from slt.frontend.remote import RemoteReader
from slt.frontend.run import many_clip_features
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
