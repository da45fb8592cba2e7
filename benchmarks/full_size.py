"""Published model size with random weights: import two layouts, load, translate; seconds and memory.

    python benchmarks/full_size.py --scratch DIR     # 35 GB of disk, 11 GB of memory, minutes

Random checkpoints of all four models are written in the current and the oldest layout. Both must import into the same
bytes. Then a new process translates a noise video, as ``slt translate`` does.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NEEDED_GB = 35
CHILD = "--child"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="a new folder, removed at the end")
    scratch = parser.parse_args().scratch
    scratch.mkdir(parents=True)
    try:
        if (free := shutil.disk_usage(scratch).free / 1e9) < NEEDED_GB:
            raise SystemExit(f"{scratch} has {free:.0f} GB free, expected at least {NEEDED_GB}")
        os.environ["SLT_HOME"] = str(scratch / "home")
        measure(scratch)
    finally:
        shutil.rmtree(scratch)


def measure(scratch: Path) -> None:
    """Write, import and translate, each in a separate process, and print a table."""
    print("| what | s | peak memory, GiB |\n|---|---|---|")
    for layout in ("today", "old"):
        run(f"write the checkpoints, layout {layout}", "make", scratch, layout)
        run(f"import them, layout {layout}", "import", scratch, layout)
        shutil.rmtree(scratch / layout)
    print(f"| both bundles are equal: {hashes(scratch, 'today') == hashes(scratch, 'old')} | | |")
    shutil.rmtree(scratch / "home" / "bundles" / "old")
    run("draw a clip of noise, 181 frames", "film", scratch, "today")
    for dtype in ("float32", "bfloat16"):
        run(f"load all models, files in the page cache, {dtype}", "load", scratch, dtype)
        run(f"slt translate, 1 language, {dtype}", "translate", scratch, dtype)


def run(what: str, child: str, scratch: Path, argument: str) -> None:
    """Run one step in a new process and print its table row."""
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, CHILD, child, str(scratch), argument], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - before
    output = dict(line.partition("\t")[::2] for line in done.stdout.splitlines())
    inside = f" ({output['inside']})" if "inside" in output else ""
    print(f"| {what} | {seconds:.1f}{inside} | {output['peak']} |", flush=True)


def hashes(scratch: Path, name: str) -> object:
    from slt.assets.cards import read_card

    return read_card(scratch / "home" / "bundles" / name).sha256


def make(scratch: Path, layout: str) -> None:
    """Write four checkpoints and a tokenizer of the published sizes, with equal weights in every layout."""
    import torch

    from tests.checkpoints import LAYOUTS
    from tests.published import KEYS, random_weights, write_tokenizer

    (scratch / layout).mkdir()
    for part in KEYS:
        content = LAYOUTS["published" if layout == "today" else "old"][part](random_weights(part))
        torch.save(content, scratch / layout / f"{part}.pt")
    write_tokenizer(scratch / layout / "tokenizer.model")


def import_one(scratch: Path, layout: str) -> None:
    from slt.bundle.convert import Sources, import_bundle
    from tests.published import KEYS

    folder = scratch / layout
    import_bundle(
        layout, Sources(**{part: folder / f"{part}.pt" for part in KEYS}, tokenizer=folder / "tokenizer.model")
    )


def film(scratch: Path, _: str) -> None:
    from tests.bundles import write_clip

    write_clip(scratch / "clip.mp4", 181)


def load(_: Path, dtype: str) -> None:
    import slt.text.sonar.model  # noqa: F401 - imported first, so that only loading is measured
    from slt.bundle.load import load_bundle

    before = time.perf_counter()
    load_bundle("today", device="cpu", dtype=dtype)
    print(f"inside\t{time.perf_counter() - before:.2f} without the imports")


def translate(scratch: Path, dtype: str) -> None:
    """Translate as ``slt translate`` does; random weights decode to the length limit, 148 tokens."""
    from slt.pipeline.translator import Translator

    timings = Translator("today", device="cpu", dtype=dtype).translate(scratch / "clip.mp4").timings
    print("inside\t" + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in timings.items()))


STEPS: dict[str, Callable[[Path, str], None]] = {
    "make": make,
    "import": import_one,
    "film": film,
    "load": load,
    "translate": translate,
}


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        STEPS[sys.argv[2]](Path(sys.argv[3]), sys.argv[4])
        print(f"peak\t{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}")
    else:
        main()
