"""A corpus of a million clips: opening its store, random reads, memory, compacting, its manifest and its batches.

    python benchmarks/scale.py --scratch DIR                                  # 1,000,000 clips, 1,000 writers' files
    python benchmarks/scale.py --scratch DIR --against OTHER/src              # and another revision, in alternation
    python benchmarks/scale.py --scratch DIR --clips 100000 --writers 100     # smaller

The clips are small (4 numbers a time step, about 0.5 kB a clip) and otherwise laid out as real ones: what is measured
is the work per clip and per file. Each measurement runs in a process of its own, after the files were read once. Wall
and processor time are both printed: the first depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WIDTH = 4
READS = 200_000
ROUNDS = 2
SRC = Path(__file__).parents[1] / "src"
WORDS = ["the", "weather", "will", "be", "warm", "in", "north", "and", "south", "rain", "falls", "over", "night"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the corpus; kept for the next run")
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=1000)
    parser.add_argument(
        "--against", type=Path, metavar="SRC", help="src of another revision to measure beside this one"
    )
    parser.add_argument("--only", nargs="*", choices=[*MEASUREMENTS], help="only these measurements")
    parser.add_argument("--measure", choices=[*MEASUREMENTS], help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.scratch / f"{options.clips}-{options.writers}"
    if options.measure:
        print(json.dumps(MEASUREMENTS[options.measure](folder)))
        return
    make_corpus(folder, options.clips, options.writers)
    print(f"{options.clips:,} clips in {options.writers:,} writers' files; {os.cpu_count()} cores", flush=True)
    revisions = {"before": options.against, "now": SRC} if options.against else {"now": SRC}
    print("| what | revision | s | CPU, s | memory above the start, MB | |\n|---|---|---|---|---|---|", flush=True)
    for name in options.only or MEASUREMENTS:
        for revision, src in revisions.items():
            print_row(name, revision, [measured(name, src, options) for _ in range(ROUNDS)])


def print_row(name: str, revision: str, runs: list[dict[str, float] | None]) -> None:
    """Print the fastest of the runs after the first, which filled the page cache."""
    found = [run for run in runs[1:] or runs if run]
    if not found:
        print(f"| {name} | {revision} | - | - | - | |", flush=True)
        return
    best = min(found, key=lambda run: run["cpu"])
    others = {key: value for key, value in best.items() if key not in ("wall", "cpu", "mb")}
    more = ", ".join(f"{key} {value:,.3g}" if value < 100 else f"{key} {value:,.0f}" for key, value in others.items())
    print(f"| {name} | {revision} | {best['wall']:.2f} | {best['cpu']:.2f} | {best['mb']:,.0f} | {more} |", flush=True)


def measured(name: str, src: Path, options: argparse.Namespace) -> dict[str, float] | None:
    """Run one measurement in a process that imports slt from ``src``; None where that slt cannot do it."""
    command = [sys.executable, __file__, "--scratch", str(options.scratch), "--measure", name]
    command += ["--clips", str(options.clips), "--writers", str(options.writers)]
    environment = {**os.environ, "PYTHONPATH": str(src.absolute()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return json.loads(done.stdout)


def make_corpus(folder: Path, n_clips: int, n_writers: int) -> None:
    """Write the store, by as many writers at once, and the manifest; they lie there for the next run."""
    from slt.data.features.header import StoreHeader
    from slt.data.features.writer import FeatureWriter

    if (folder / "manifest.tsv").exists():
        return
    rng = random.Random(0)
    noise = np.random.default_rng(0).standard_normal((200, WIDTH)).astype(np.float16)
    header = StoreHeader(feature_dim=WIDTH, dtype="float16", extractor="signhiera", weights_sha256="0" * 64)
    writers = [FeatureWriter(folder / "store", header, shard=(i, n_writers)) for i in range(n_writers)]
    for i, writer in enumerate(writers):
        for clip in range(i, n_clips, n_writers):
            writer.add(clip_id(clip), noise[: rng.randint(20, 110)])
        writer.close()
    with open(folder / "part", "w") as file:
        file.write("id\tvideo\tstart_s\tend_s\ttext\tlang\tsigner\tsplit\n")
        for clip in range(n_clips):
            text = " ".join(rng.choices(WORDS, k=rng.randint(5, 25)))
            start = rng.randint(0, 10**6) / 1000
            cells = (clip_id(clip), f"videos/{clip // 50:011x}.mp4", start, start + 6.04, text, "eng_Latn", clip % 2500)
            file.write("\t".join(map(str, cells)) + "\ttrain\n")
    (folder / "part").rename(folder / "manifest.tsv")


def clip_id(number: int) -> str:
    return f"{number // 50:011x}-{number % 50:03d}-rgb_front"


def meter(work: Callable[[], object]) -> tuple[dict[str, float], object]:
    """Time some work, and tell how much more memory the process held at its highest than before it."""
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    found = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "cpu": cpu, "mb": resident() - before, "peak MB": peak - before}, found


def resident() -> float:
    """Return the memory this process holds, in MB, without the pages of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def imports() -> None:
    """Import what every process that reads data has, so that it is not counted."""
    for module in ("pyarrow.parquet", "slt.data.features.open", "slt.data.manifest", "slt.train.batches"):
        importlib.import_module(module)


def open_store(folder: Path) -> dict[str, float]:
    from slt.data.features.store import FeatureStore

    imports()
    found, store = meter(lambda: FeatureStore.open(folder / "store"))
    return {**found, "clips": len(store)}


def random_reads(folder: Path) -> dict[str, float]:
    from slt.data.features.store import FeatureStore

    store = FeatureStore.open(folder / "store")
    ids = random.Random(0).choices(store.ids, k=READS)
    for id in ids[: READS // 2]:
        store[id]
    found, _ = meter(lambda: [len(store[id]) for id in ids])
    return {**found, "reads/s": READS / found["wall"], "reads/CPU s": READS / found["cpu"]}


def lengths(folder: Path) -> dict[str, float]:
    from slt.data.features.store import FeatureStore

    store = FeatureStore.open(folder / "store")
    found, sizes = meter(lambda: [store.length(id) for id in store.ids])
    return {**found, "lengths/s": len(sizes) / found["wall"]}


def open_writer(folder: Path) -> dict[str, float]:
    from slt.data.features.header import read_header
    from slt.data.features.writer import FeatureWriter

    imports()
    return meter(lambda: FeatureWriter(folder / "store", read_header(folder / "store")))[0]


def to_worker(folder: Path) -> dict[str, float]:
    """Send an opened store to a process that reads ahead."""
    import pickle

    from slt.data.features.store import FeatureStore

    store = FeatureStore.open(folder / "store")
    found, sent = meter(lambda: pickle.loads(pickle.dumps(store, protocol=5)))
    return {**found, "clips": len(sent)}


def read_manifest(folder: Path) -> dict[str, float]:
    from slt.data.manifest import read_manifest

    imports()
    found, manifest = meter(lambda: read_manifest(folder / "manifest.tsv"))
    return {**found, "clips": len(manifest.clips)}


def plan_batches(folder: Path) -> dict[str, float]:
    from slt.data.features.store import FeatureStore
    from slt.train.batches import Batches

    store = FeatureStore.open(folder / "store")
    sizes = [store.length(id) for id in store.ids]

    def plan() -> tuple[int, float]:
        batches = Batches(lengths=sizes, rows=8192, clips=256, multiple=8)
        return len(batches.epoch(0)), batches.padding()

    found, (n, padding) = meter(plan)
    return {**found, "batches": n, "% padding": 100 * padding}


def compact_store(folder: Path) -> dict[str, float]:
    """Merge a copy of the store, made of links."""
    from slt.data.features.compact import compact

    copy = folder / "compacted"
    subprocess.run(["rm", "-rf", str(copy)], check=True)
    subprocess.run(["cp", "-r", str(folder / "store"), str(copy)], check=True)
    imports()
    found, _ = meter(lambda: compact(copy))
    return {**found, "files": len(list(copy.glob("*.features")))}


def open_compacted(folder: Path) -> dict[str, float]:
    from slt.data.features.store import FeatureStore

    imports()
    found, store = meter(lambda: FeatureStore.open(folder / "compacted"))
    return {**found, "clips": len(store)}


MEASUREMENTS: dict[str, Callable[[Path], dict[str, float]]] = {
    "open the store": open_store,
    "random reads": random_reads,
    "lengths of all clips": lengths,
    "open a writer": open_writer,
    "send the store to a worker": to_worker,
    "read the manifest": read_manifest,
    "plan an epoch's batches": plan_batches,
    "compact the store": compact_store,
    "open it compacted": open_compacted,
}


if __name__ == "__main__":
    main()
