"""How long commands take as whole processes, beside ``python -c "import torch"`` in the same run.

    python benchmarks/start_up.py [--runs 5]

Prints a table: the median of the runs, each command once per run, and its ratio to importing torch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

SLT = str(Path(sys.executable).with_name("slt"))
TORCH = "python -c 'import torch'"


def commands() -> dict[str, list[str]]:
    """Return what is timed: its name in the table → the command line."""
    clip = sorted((files("slt.demo") / "clips" / "videos" / "test").iterdir(), key=str)[0]
    return {
        TORCH: [sys.executable, "-c", "import torch"],
        "slt --help": [SLT, "--help"],
        "slt doctor --quick": [SLT, "doctor", "--quick"],
        "slt translate CLIP (demo)": [SLT, "translate", str(clip)],
    }


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Return the seconds a process took, and those of the processor that it and its children took."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    took, after = time.perf_counter() - begun, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return took, spent


def main() -> None:
    """Time every command in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = [{name: measure(command) for name, command in commands().items()} for _ in range(parser.parse_args().runs)]
    print("| command | s | to torch | processor, s | to torch |")
    print("|---|---|---|---|---|")
    for name in runs[0]:
        cells = []
        for what in (0, 1):
            cells.append(statistics.median(run[name][what] for run in runs))
            cells.append(statistics.median(run[name][what] / run[TORCH][what] for run in runs))
        print(f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} | {cells[2]:.2f} | {cells[3]:.2f} |")


if __name__ == "__main__":
    main()
