"""slt on a GPU: peaks, SignHiera, training and its memory, InfoNCE, the data loader, videos to features.

    python benchmarks/gpu.py                      # at most 8 minutes on a card
    python benchmarks/gpu.py --json gpu.json      # every figure, for a program to read
    python benchmarks/gpu.py --only videos        # one section
    python benchmarks/gpu.py --tiny               # tiny models, on any machine; seconds

Needs no network, no published weights (all are random) and no fairseq2. Each section runs in a process of its own: one
that fails or takes too long says so, and the others go on. Shares are of the peak of matrix products measured first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parents[1]))

Row: TypeAlias = dict[str, Any]
"""One line of a table: ``what``, the section's columns, and perhaps a ``note``."""

CHILD = "--child"
LATE_AFTER = 0.8  # of a section's time, it begins nothing new; at the end of it, it is ended
SECTIONS: dict[str, tuple[str, float]] = {
    "matmul": ("benchmarks.gpu_compute:matmul", 0.5),
    "signhiera": ("benchmarks.gpu_compute:signhiera", 2.5),
    "training": ("benchmarks.gpu_compute:training", 2.5),
    "memory": ("benchmarks.memory:memory", 0.75),
    "infonce": ("benchmarks.gpu_compute:infonce", 0.25),
    "loader": ("benchmarks.gpu_input:loader", 0.75),
    "videos": ("benchmarks.gpu_input:videos", 1.5),
}
"""Name → where it is, and its share of the budget in minutes of eight."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a section needs to know.

    Attributes:
        device: "cuda" or "cpu".
        tiny: small models and few repetitions.
        cores: processor cores to decode and read with.
        until: Unix time after which nothing new is begun.
        peaks: dtype → measured FLOP/s of matrix products.
        step_s: measured seconds of one training step; 0: not measured.
    """

    device: str
    tiny: bool
    cores: int
    until: float = 0.0
    peaks: dict[str, float] = field(default_factory=dict)
    step_s: float = 0.0

    @property
    def is_late(self) -> bool:
        """Whether the section's time is over."""
        return time.time() > self.until

    def share(self, flops: float, dtype: str) -> str:
        """Return FLOP/s as a share of the measured peak."""
        peak = self.peaks.get(dtype)
        return f"{flops / peak:.0%}" if peak else "–"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all sections together")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to a file too")
    parser.add_argument("--tiny", action="store_true", help="tiny models, all in one process")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="to decode and read with")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    options = parser.parse_args(arguments)
    found = card()
    device = found["device"] if options.device == "auto" else options.device
    for name, value in found.items():
        print(f"{name}: {value}")
    if device == "cpu" and not options.tiny:
        print("no GPU: the published sizes take very long on a CPU; --tiny takes seconds")
    plan = Plan(device=device, tiny=options.tiny, cores=options.cores)
    tables = measure(plan, options.only, seconds=60 * options.minutes)
    if options.json:
        options.json.write_text(json.dumps({"machine": found, "options": asdict(plan), **tables}, indent=1) + "\n")


def card() -> dict[str, str]:
    """Describe the machine and the libraries."""
    import torch

    libraries = {name: _version(name) for name in ("torch", "transformers", "lightning", "fairseq2", "slt")}
    has_gpu = torch.cuda.is_available()
    found = {
        "device": "cuda" if has_gpu else "cpu",
        "card": torch.cuda.get_device_name() if has_gpu else "none",
        "memory, GiB": f"{torch.cuda.get_device_properties(0).total_memory / 2**30:.1f}" if has_gpu else "–",
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability())) if has_gpu else "–",
        "driver": _driver(),
        "CUDA of torch": torch.version.cuda or "none",
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}, {_processor()}",
        "python": platform.python_version(),
    }
    return found | libraries


def measure(plan: Plan, names: Sequence[str], *, seconds: float) -> dict[str, list[Row]]:
    """Run the sections, print their tables, and return their rows."""
    end = time.time() + seconds
    tables: dict[str, list[Row]] = {}
    for place, name in enumerate(names):
        shares = [SECTIONS[later][1] for later in names[place:]]
        limit = (end - time.time()) * shares[0] / sum(shares)
        here = replace(plan, until=time.time() + LATE_AFTER * limit)
        print(f"\n## {name}\n")
        tables[name] = []
        for row in (alone if plan.tiny else in_new_process)(name, here, limit):
            tables[name].append(row)
            _print_row(row, columns=tables[name][0], is_first=len(tables[name]) == 1)
        plan = replace(plan, peaks=plan.peaks | _peaks(tables.get("matmul", ())), step_s=_step(tables))
    return tables


def alone(name: str, plan: Plan, limit: float) -> Iterator[Row]:
    """Run a section in this process."""
    try:
        yield from section(name)(plan)
    except Exception as error:
        yield {"what": "failed", "note": f"{type(error).__name__}: {_first_line(str(error))}"}


def in_new_process(name: str, plan: Plan, limit: float) -> Iterator[Row]:
    """Run a section in a process of its own, which is ended after ``limit`` seconds."""
    command = [sys.executable, __file__, CHILD, name, json.dumps(asdict(plan))]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as child,
    ):
        timer = threading.Timer(limit, child.kill)
        timer.start()
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                yield json.loads(line)
        code = child.wait()
        late = not timer.is_alive()
        timer.cancel()
        if late:
            yield {"what": "ended", "note": f"its time, {limit:.0f} s, was over; --minutes gives more"}
        elif code:
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()] or [f"exit code {code}"]
            yield {"what": "failed", "note": lines[-1]}


def section(name: str) -> Callable[[Plan], Iterator[Row]]:
    """Import a section."""
    module, _, function = SECTIONS[name][0].partition(":")
    imported = __import__(module, fromlist=[function])
    found: Callable[[Plan], Iterator[Row]] = getattr(imported, function)
    return found


def attempt(what: str, call: Callable[[], Row]) -> Row:
    """Return what a call returns, or why it failed."""
    try:
        return {"what": what, **call()}
    except Exception as error:  # one that fails must not cost the others
        return {"what": what, "note": f"{type(error).__name__}: {_first_line(str(error))}"}


def _print_row(row: Row, *, columns: Row, is_first: bool) -> None:
    """Print a line of a table; what the first row does not have as a column goes into the note."""
    names = [name for name in columns if name != "note"]
    if is_first:
        print("| " + " | ".join([*names, "note"]) + " |")
        print("|---" * (len(names) + 1) + "|")
    cells = [row.get(name, "") for name in names] + [row.get("note", "")]
    print(
        "| " + " | ".join(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True
    )


def _peaks(rows: Sequence[Row]) -> dict[str, float]:
    return {row["what"]: 1e12 * row["TFLOP/s"] for row in rows if "TFLOP/s" in row}


def _step(tables: dict[str, list[Row]]) -> float:
    """Return the seconds of the fastest kind of training step that was measured."""
    return min((row["s per step"] for row in tables.get("training", ()) if "s per step" in row), default=0.0)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "none"
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip().partition("\n")[0] or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        from benchmarks import gpu  # so that the sections and this process have one and the same ``Plan``

        for made in gpu.section(sys.argv[2])(gpu.Plan(**json.loads(sys.argv[3]))):
            print(json.dumps(made), flush=True)
    else:
        main()
