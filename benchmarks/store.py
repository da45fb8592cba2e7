"""Feature store against one ``.npy`` file per clip: writing, random reads, number of files.

    python benchmarks/store.py                   # 2,000 clips
    python benchmarks/store.py --clips 20000     # 1 GB in each format

Both are written and read in the same run; reads come from the page cache and copy a clip. The store verifies a checksum
per read, ``.npy`` does not.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from slt.data.features.folder import FolderFeatures
from slt.data.features.header import StoreHeader
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter

WIDTH = 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--reads", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="folder on the disk to measure; default: the temporary folder")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 110, options.clips)
    noise = rng.standard_normal((200, WIDTH)).astype(np.float16)
    clips = {f"clip-{i:06d}": noise[: lengths[i]] for i in range(options.clips)}
    order = random.Random(0).choices(list(clips), k=options.reads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        files, store = Path(folder, "files"), Path(folder, "store")
        files.mkdir()
        print(f"{options.clips} clips, {sum(clip.nbytes for clip in clips.values()) / 1e6:.0f} MB")
        print(f"{'':22}{'files':>12}{'store':>12}{'ratio':>8}")
        row("clips written/s", options.clips, lambda: write_files(files, clips), lambda: write_store(store, clips))
        row("opened/s", 1, lambda: FolderFeatures(files), lambda: FeatureStore.open(store))
        opened = FeatureStore.open(store)
        by_path = {id: files / f"{id}.npy" for id in clips}
        for name in ("random reads/s, first", "random reads/s, again"):
            row(
                name,
                options.reads,
                lambda: [np.load(by_path[id]) for id in order],
                lambda: [opened[id] for id in order],
            )
        n_files, n_shards = (sum(1 for _ in place.iterdir()) for place in (files, store))
        print(f"{'files':22}{n_files:12,}{n_shards:12,}{n_shards / n_files:8.2%}")


def row(name: str, count: int, files: Callable[[], object], store: Callable[[], object]) -> None:
    """Time both formats and print operations per second."""
    speeds = []
    for work in (files, store):
        began = time.perf_counter()
        work()
        speeds.append(count / (time.perf_counter() - began))
    print(f"{name:22}{speeds[0]:12,.1f}{speeds[1]:12,.1f}{speeds[1] / speeds[0]:8.2f}", flush=True)


def write_files(folder: Path, clips: dict[str, np.ndarray]) -> None:
    for id, clip in clips.items():
        np.save(folder / f"{id}.npy", clip)


def write_store(folder: Path, clips: dict[str, np.ndarray]) -> None:
    with FeatureWriter(folder, StoreHeader(feature_dim=WIDTH, dtype="float16")) as writer:
        for id, clip in clips.items():
            writer.add(id, clip)


if __name__ == "__main__":
    main()
