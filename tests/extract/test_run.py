from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from slt.bundle.load import window_geometry
from slt.core.errors import SltError, UserError
from slt.core.signals import StopRequests
from slt.data.features.records import DATA
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter
from slt.evaluate.model import BlankVideo
from slt.extract.jobs import choose_shard, gather_jobs
from slt.extract.run import estimate, extract, failures_path
from slt.frontend.base import FrameInput, Frontend, Settings
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.registry import load_frontend
from slt.frontend.run import many_clip_features
from slt.frontend.streams import Stream
from slt.pipeline.translator import Translator
from slt.video.crop import find_signer
from slt.video.span import open_span
from slt.video.stream import WindowStream, cropped_frames
from tests.bundles import PREPROCESS


def contents(folder):
    store = FeatureStore.open(folder)
    return {id: store[id].tobytes() for id in store.ids}


def test_features_are_those_of_translating(bundle, extractor, videos, tmp_path):
    report = extract(gather_jobs(videos), extractor, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    assert (report.n_done, report.n_there, report.failures) == (12, 0, [])
    assert report.n_frames == sum(10 + 5 * i for i in range(12))
    assert report.seconds == pytest.approx(report.n_frames / 25)
    assert report.n_features == sum(map(store.length, store.ids))
    translator = Translator(bundle)
    for video in videos[::5]:
        features = translator.translate(video, beam_size=1).features.numpy()
        np.testing.assert_array_equal(store[video.stem], features.astype(np.float16))


def test_the_header_tells_all_that_the_numbers_depend_on(bundle, extractor, tmp_path):
    header = extractor.headers[0]
    assert (header.extractor, header.feature_dim, header.dtype) == ("signhiera", 32, "float16")
    assert header.geometry == vars(PREPROCESS)
    changed = load_frontend("signhiera", Settings(model=str(bundle), detector="dlib-hog", dtype="bfloat16")).headers[0]
    assert changed.geometry["detector"] == "dlib-hog"
    assert changed.dtype == "bfloat16"
    FeatureWriter(tmp_path / "s", header).close()
    with pytest.raises(UserError, match=r"another kind: geometry .*'none'}, now .*'dlib-hog'}"):
        FeatureWriter(tmp_path / "s", replace(changed, dtype="float16"))


def test_spans_are_extracted_as_cut(extractor, videos, tmp_path):
    """A clip of a long video is what its frames are."""
    jobs = [
        ClipSource(id="first", path=videos[-1], end_s=1.0),
        ClipSource(id="whole", path=videos[-1]),
        ClipSource(id="second", path=videos[-1], start_s=1.0, end_s=1.8),
    ]
    report = extract(jobs, extractor, tmp_path / "s")
    assert report.n_frames == 25 + 65 + 20
    store = FeatureStore.open(tmp_path / "s")
    for job in jobs:
        video = open_span(job.path, job.start_s, job.end_s)
        frames = cropped_frames(video, find_signer(video, "none"), PREPROCESS.size)
        windows = WindowStream(frames, fps=25, geometry=window_geometry(PREPROCESS))
        inputs = [FrameInput(content=pixels, units=1, window=window) for window, pixels in windows]
        with torch.inference_mode():
            rows = [rows for one in inputs for (rows,) in extractor.features([one])]
        expected = torch.cat(rows).numpy().astype(np.float16)
        np.testing.assert_array_equal(store[job.id], expected)


def test_batches_and_padding_do_not_change_what_comes_out(bundle, videos, tmp_path):
    jobs = gather_jobs(videos)
    for at_once in (1, 7):
        extractor = load_frontend("signhiera", Settings(model=str(bundle), device="cpu"))
        extractor.batch_size = at_once
        extract(jobs, extractor, tmp_path / str(at_once))
    assert contents(tmp_path / "1") == contents(tmp_path / "7")


def test_windows_of_several_clips_share_a_batch(bundle, videos):
    """The first batch waits until two more inputs were decoded, however fast the threads are."""
    extractor = load_frontend("signhiera", Settings(model=str(bundle), device="cpu"))
    extractor.batch_size = 4
    decoded, sizes = threading.Semaphore(0), []
    cut, compute = extractor.inputs, extractor.features

    def inputs(clip, n_readings=1):
        for one in cut(clip, n_readings):
            yield one
            decoded.release()  # asked for the next one, so this one is in the queue

    def features(batch):
        if not sizes:
            for _ in range(len(batch) + 2):
                assert decoded.acquire(timeout=60)
        sizes.append(len(batch))
        return compute(batch)

    extractor.inputs, extractor.features = inputs, features
    assert len(list(many_clip_features(gather_jobs(videos), extractor, n_workers=4))) == 12
    assert 1 < max(sizes) <= 4


def test_what_is_broken_is_told_and_costs_itself_only(extractor, videos, tmp_path):
    (tmp_path / "empty.mp4").touch()
    jobs = [
        ClipSource(id="no video", path=None),
        *gather_jobs([tmp_path / "empty.mp4", tmp_path / "absent.mp4", videos[0]]),
        ClipSource(id="past", path=videos[1], start_s=60.0, end_s=61.0),
        ClipSource(id="late", path=tmp_path / "late.mp4"),
    ]
    report = extract(jobs, extractor, tmp_path / "s")
    said = {id: error.message for id, error in report.failures}
    assert set(said) == {"no video", "empty", "absent", "past", "late"}
    assert "names no video" in said["no video"]
    assert "is empty" in said["empty"]
    assert "shows no frame from 60 to 61 s" in said["past"]
    listed = failures_path(tmp_path / "s", (0, 1)).read_text().splitlines()
    assert listed[0] == "id\terror"
    assert {line.split("\t")[0] for line in listed[1:]} == set(said)
    assert set(FeatureStore.open(tmp_path / "s").ids) == {"v0"}

    (tmp_path / "late.mp4").write_bytes(videos[2].read_bytes())
    again = extract(jobs, extractor, tmp_path / "s")
    assert (again.n_there, again.n_done, len(again.failures)) == (1, 1, 4)
    last = extract(jobs[3:4], extractor, tmp_path / "s")
    assert (last.n_there, last.n_done) == (1, 0)
    assert not failures_path(tmp_path / "s", (0, 1)).exists()


class Odd(Frontend):
    """Gives what an extractor should not."""

    streams = (Stream(kind="odd", geometry={}),)
    feature_dims = (2,)
    batch_size = 3

    def __init__(self):
        super().__init__(Settings(device="cpu"), PREPROCESS)

    def open(self, clip, **_):
        if clip.id == "bug":
            raise ZeroDivisionError("division by zero")
        opened = OpenClip(BlankVideo(3, 25.0), find_signer(BlankVideo(3, 25.0), "none"))
        opened.id = clip.id
        return opened

    def inputs(self, clip, n_readings=1):
        for n, _ in enumerate(clip.frames() if clip.id != "nothing" else ()):
            yield FrameInput(content=(clip.id == "model bug", n), units=1)

    def features(self, inputs):
        if any(one.content[0] for one in inputs):
            raise RuntimeError("the model fell over")
        return [(torch.full((1, 2), 1e6 if one.content[1] == 2 else 1.0),) for one in inputs]


def test_bugs_are_failures_of_the_clips_that_meet_them(tmp_path):
    jobs = [ClipSource(id=id, path=None) for id in ("bug", "nothing", "model bug", "too large")]
    report = extract(jobs, Odd(), tmp_path / "s")
    said = {id: error.message for id, error in report.failures}
    assert said == {
        "bug": "unexpected ZeroDivisionError: division by zero",
        "nothing": "no features were computed from nothing",
        "model bug": "unexpected RuntimeError: the model fell over",
        "too large": "the features of too large reach 1e+06, too large for float16",
    }


def test_nan_is_no_feature(bundle, videos, tmp_path):
    extractor = load_frontend("signhiera", Settings(model=str(bundle), device="cpu"))
    with torch.no_grad():
        next(extractor.model.parameters()).fill_(float("nan"))
    ((_, error),) = extract(gather_jobs(videos[:1]), extractor, tmp_path / "s").failures
    assert "NaN or infinity" in error.message


def test_a_full_disk_ends_the_work(extractor, videos, tmp_path, monkeypatch):
    extract(gather_jobs(videos[:1]), extractor, tmp_path / "s")

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SltError, match="No space left on device"):
        extract(gather_jobs(videos), extractor, tmp_path / "s")


def test_asked_to_stop_it_saves_and_goes_on_later(extractor, videos, tmp_path):
    stop = StopRequests()

    def ask(done, total):
        if done == 3:
            stop._note(signal.SIGTERM, None)

    jobs = gather_jobs(videos)
    report = extract(jobs, extractor, tmp_path / "s", stop=stop, progress=ask)
    assert 3 <= report.n_done < 12
    again = extract(jobs, extractor, tmp_path / "s")
    assert again.n_there == report.n_done
    extract(jobs, extractor, tmp_path / "straight")
    assert contents(tmp_path / "s") == contents(tmp_path / "straight")


def test_two_workers_on_two_shards_equal_one_on_all(extractor, videos, tmp_path):
    jobs = gather_jobs(videos)
    for index in (1, 0):
        report = extract(choose_shard(jobs, index, 2), extractor, tmp_path / "two", shard=(index, 2))
        assert 0 < report.n_done < 12
        assert report.n_there == 0
    extract(jobs, extractor, tmp_path / "one")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_sample_tells_what_all_would_take(extractor, videos, tmp_path):
    report = estimate(gather_jobs(videos), extractor)
    assert report.n_done == 8
    assert report.took_s > 0
    extract(gather_jobs(videos), extractor, tmp_path / "s")
    (shard,) = (tmp_path / "s").glob(f"*{DATA}")
    assert report.n_bytes / 8 * 12 == pytest.approx(shard.stat().st_size, rel=0.4)


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from slt.data.features.store import FeatureStore
from slt.frontend.base import Settings
from slt.extract.jobs import gather_jobs
from slt.frontend.registry import load_frontend
from slt.extract.run import extract

bundle, out, *videos = sys.argv[1:]
jobs = gather_jobs(map(Path, videos))
extractor = load_frontend("signhiera", Settings(model=bundle, device="cpu"))

def extract_until(store, moment):
    child = os.fork()
    if not child:
        extract(jobs, extractor, Path(out) / store)
        os._exit(0)
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

began = time.perf_counter()
extract_until("straight", None)
took = time.perf_counter() - began
moments, n_stores, n_killed = random.Random(7), 1, 0
while n_killed < 20:
    if extract_until(str(n_stores), moments.uniform(0.0, took)):
        n_killed += 1
    else:
        n_stores += 1  # it was quicker than the kill: begin another store
extract_until(str(n_stores), None)
"""


@pytest.mark.slow
def test_killed_at_twenty_moments_a_store_is_that_of_an_undisturbed_run(bundle, videos, tmp_path):
    """One process loads everything once; its children extract, and are killed while they do."""
    words = [sys.executable, "-c", KILLER, str(bundle), str(tmp_path), *map(str, videos)]
    subprocess.run(words, check=True)
    stores = sorted(folder for folder in tmp_path.iterdir() if not folder.name.startswith("."))
    expected = contents(tmp_path / "straight")
    assert len(expected) == 12
    for store in stores:
        assert contents(store) == expected
    # Some were killed after they had begun, and went on in files of their own.
    assert max(len(list(store.glob(f"*{DATA}"))) for store in stores) > 1


@pytest.mark.slow
def test_two_hundred_mutated_videos_are_each_accounted_for(extractor, videos, tmp_path):
    rng = random.Random(11)
    whole = [video.read_bytes() for video in videos[:4]]
    for i in range(200):
        content = bytearray(rng.choice(whole))
        for _ in range(rng.choice([1, 10, 200])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if i % 3 == 0:
            del content[rng.randrange(len(content)) :]
        (tmp_path / f"m{i}.mp4").write_bytes(content)
    jobs = gather_jobs(sorted(tmp_path.glob("m*.mp4")))
    report = extract(jobs, extractor, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    assert report.n_done == len(store) > 20
    assert len(report.failures) > 20
    assert {*store.ids, *(id for id, _ in report.failures)} == {f"m{i}" for i in range(200)}
    assert not [error.message for _, error in report.failures if error.exit_code != 2]
