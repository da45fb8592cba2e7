"""Simulate an array job of `slt extract-features`: tasks are killed at random moments, go back into the queue, and end.

    python benchmarks/array_job.py                                  # 1,000 tasks, 5 % of them killed, 100,000 clips
    python benchmarks/array_job.py --tasks 40 --clips 400 --killed 0.3

Everything is real but the extractor and the scheduler: each task is a process that runs what `slt extract-features
--shard I/N` runs, on a store that all of them share, and a kill takes it wherever it is. The extractor makes a clip's
features from its id. In the end the store is compared with the list of clips: each must be in it once, with the
features that its id gives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from slt.assets.cards import ExtractorCard, PreprocessCard
from slt.data.features.compact import compact
from slt.data.features.records import read_entries, shard_paths
from slt.data.features.store import FeatureStore
from slt.extract.jobs import shard_of
from slt.extract.run import extract
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import ClipSource, OpenClip
from slt.video.base import Frame, Video, VideoInfo
from slt.video.boxes import Box
from slt.video.crop import SignerBox

WIDTH = 16
SIZE = 8


class Named(Video):
    """A video of one blank frame that knows whose it is."""

    def __init__(self, id: str) -> None:
        super().__init__(VideoInfo(path=Path(id), fps=25.0, n_frames=1, height=SIZE, width=SIZE))
        self.id = id

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """See ``Video``."""
        yield 0.0, np.zeros((SIZE, SIZE, 3), np.uint8)


class ById(Frontend):
    """Makes a clip's features from its id."""

    feature_dims = (WIDTH,)

    def __init__(self) -> None:
        super().__init__(Settings(device="cpu"), PreprocessCard(num_frames=1, sampling_rate=1, stride_frames=1))
        self.card = ExtractorCard(kind="keypoints", config={}, weights=None)

    def open(self, clip: ClipSource, **_: object) -> OpenClip:
        """See ``Frontend``."""
        return OpenClip(Named(clip.id), SignerBox(box=Box(0, 0, SIZE, SIZE), method="whole picture", detector="none"))

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Iterator[FrameInput]:
        """See ``Frontend``."""
        yield FrameInput(content=clip.video.id, units=1)

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``."""
        return [(torch.from_numpy(features_of(one.content)),) for one in inputs]


def features_of(id: str) -> np.ndarray:
    """Return (N, WIDTH) float32, N from 1 to 90; exact in half precision."""
    rng = np.random.default_rng(zlib.crc32(id.encode()))
    return rng.integers(-99, 100, (int(rng.integers(1, 91)), WIDTH)).astype(np.float32)


class Queue:
    """A scheduler: so many tasks at once; one that was killed goes back to the end."""

    def __init__(self, folder: Path, clips: Sequence[ClipSource], n_tasks: int) -> None:
        self.folder, self.n_tasks = folder, n_tasks
        self.shares: list[list[ClipSource]] = [[] for _ in range(n_tasks)]
        for clip in clips:
            self.shares[shard_of(clip.id, n_tasks)].append(clip)
        self.n_killed = self.n_runs = 0

    def run(self, to_kill: int, at_once: int, rng: random.Random) -> None:
        """Run all tasks until each has ended well; kill ``to_kill`` of them on the way."""
        waiting, running = list(range(self.n_tasks)), dict[int, int]()
        doomed = {*rng.sample(waiting, to_kill)}
        while waiting or running:
            while waiting and len(running) < at_once:
                task = waiting.pop(0)
                running[self._start(task, rng if task in doomed else None)] = task
            pid, status = os.wait()
            task = running.pop(pid)
            self.n_runs += 1
            if os.WIFSIGNALED(status):
                self.n_killed += 1
                doomed.discard(task)
                waiting.append(task)
            elif status:
                raise SystemExit(f"task {task} failed with status {status}")
            elif task in doomed:  # it was faster than its death: another one dies
                doomed.discard(task)
                doomed |= {*rng.sample(sorted({*waiting} - doomed), min(1, len({*waiting} - doomed)))}

    def _start(self, task: int, doom: random.Random | None) -> int:
        """Start a task; with ``doom``, an alarm that nobody handles ends it at a random moment of its work."""
        share = self.shares[task]
        last = doom.randrange(max(1, len(share))) if doom else len(share) + 1
        delay_s = doom.uniform(1e-5, 3e-3) if doom else 0.0

        def progress(done: int, total: int) -> None:
            if done == last:
                signal.setitimer(signal.ITIMER_REAL, delay_s)

        if pid := os.fork():
            return pid
        try:
            torch.set_num_threads(1)
            report = extract(share, ById(), self.folder, shard=(task, self.n_tasks), progress=progress)
            signal.setitimer(signal.ITIMER_REAL, 0)
            os._exit(1 if report.failures else 0)
        finally:
            os._exit(2)


def check(folder: Path, clips: Sequence[ClipSource]) -> dict[str, int]:
    """Compare the store with the clips; return the counts.

    Raises:
        SystemExit: a clip is missing, twice, or has other features.
    """
    entries = [id for shard in shard_paths(folder) for id in read_entries(shard).table["id"].to_pylist()]
    store = FeatureStore.open(folder)
    wrong = [
        clip.id for clip in clips if clip.id not in store or not np.array_equal(store[clip.id], features_of(clip.id))
    ]
    counts = {
        "clips": len(clips),
        "in the store": len(store),
        "records": len(entries),
        "missing or wrong": len(wrong),
        "more than once": len(entries) - len({*entries}),
        "files": len(shard_paths(folder)),
    }
    if wrong or not len(clips) == len(store) == len(entries) == len({*entries}):
        raise SystemExit(f"not every clip is in the store exactly once: {counts}")
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--killed", type=float, default=0.05, help="share of the tasks")
    parser.add_argument("--at-once", type=int, default=8, help="tasks that run side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the store is made; default: the temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    clips = [ClipSource(id=f"{i // 50:011x}-{i % 50:03d}", path=None) for i in range(options.clips)]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch, "store")
        queue = Queue(folder, clips, options.tasks)
        began = time.monotonic()
        queue.run(round(options.killed * options.tasks), options.at_once, random.Random(options.seed))
        report: dict[str, object] = {
            "tasks": options.tasks,
            "killed": queue.n_killed,
            "runs": queue.n_runs,
            "seconds": round(time.monotonic() - began),
            "before merging": check(folder, clips),
        }
        merged = compact(folder, unfinished=True)
        report["after merging"] = check(folder, clips)
        if merged.failures or merged.left:
            raise SystemExit(f"not all was merged: {merged}")
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
