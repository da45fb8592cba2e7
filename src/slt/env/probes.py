"""The risky checks; `slt.env.isolate` runs them as ``python -m slt.env.probes NAME…``.

A probe tries other rooms' doors and those of the native libraries, so it names what it imports as text: nothing
here is imported by `slt` itself. It says each step before it dares it, so that whoever waits knows where it died.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import site
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

MARK = "@slt "  # begins our own lines among whatever a library prints
LIBRARIES = ("libtbb.so.12", "libsndfile.so.1")


def tell(**message: Any) -> None:
    """Send one message to the waiting process."""
    print(MARK + json.dumps(message), flush=True)


def probe_torch() -> None:
    """Import torch."""
    torch = _load("torch")
    tell(facts={"version": torch.__version__, "cuda": torch.version.cuda})


def probe_gpu() -> None:
    """Look at the graphics cards torch sees, and multiply two matrices on each."""
    torch = _load("torch")
    tell(step="look for GPUs")
    devices: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        devices.append({"name": card.name, "gb": card.total_memory / 1e9, "compute": f"{card.major}.{card.minor}"})
    tell(facts={"devices": devices})
    for index in range(len(devices)):
        tell(step=f"multiply on GPU {index}")
        matrix = torch.ones(64, 64, device=f"cuda:{index}")
        if (matrix @ matrix).sum().item() != 64.0**3:
            raise ArithmeticError("the product of two matrices of ones is wrong")


def probe_torchaudio() -> None:
    """Import torchaudio, whose compiled half must fit torch's."""
    _load("torchaudio")


def probe_libraries() -> None:
    """Load the two shared libraries fairseq2n needs, from where it looks for them."""
    for name in LIBRARIES:
        tell(step=f"load {name}")
        tell(facts={name: _find_library(name)})


def probe_fairseq2n() -> None:
    """Load fairseq2's compiled half, which checks torch by itself."""
    _load("fairseq2n.bindings")


def probe_sonar() -> None:
    """Build and run a tiny SONAR text encoder and decoder on fairseq2."""
    _run_tiny_sonar("fairseq2", "slt.text.sonar.model")


def probe_m2m100() -> None:
    """Build and run a tiny SONAR text encoder and decoder on transformers."""
    _run_tiny_sonar("transformers", "slt.text.m2m100.model")


def _run_tiny_sonar(engine: str, module: str) -> None:
    _load(module)
    self_test = _load("slt.text.check").self_test
    tell(step="run a tiny SONAR model")
    tell(facts={"ran": self_test(engine)})


PROBES: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "torch": probe_torch,
        "gpu": probe_gpu,
        "torchaudio": probe_torchaudio,
        "libraries": probe_libraries,
        "fairseq2n": probe_fairseq2n,
        "sonar": probe_sonar,
        "m2m100": probe_m2m100,
    }
)


def _load(module: str) -> Any:
    tell(step=f"import {module}")
    return import_module(module)


def _find_library(name: str) -> str | None:
    """Load a shared library as fairseq2n does, and return the path it came from, or None.

    Reference: fairseq2n 0.8.1, ``__init__.py``: the dynamic linker, unless in a Conda environment, then the
    ``lib`` folder above each site-packages.
    """
    names = [] if "CONDA_PREFIX" in os.environ else [name]
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    names += [str(Path(folder).parent.parent / name) for folder in [*user, *site.getsitepackages()]]
    for candidate in names:
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return _mapped_path(name.partition(".so")[0]) or candidate
    return None


def _mapped_path(stem: str) -> str | None:
    """Return the file whose name is ``stem`` and any ending that this process has in its memory."""
    mapped = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text("utf-8").splitlines()}
    return next((path for path in mapped if re.match(rf"{stem}[._]", Path(path).name)), None)


def main(names: Iterable[str]) -> None:
    """Run probes one after another; what kills the process, the waiting one finds out."""
    for name in names:
        tell(begin=name)
        try:
            PROBES[name]()
        except Exception as error:  # whatever it is, it is this probe's finding
            lines = str(error).strip().splitlines() or ["no reason given"]
            tell(error=f"{type(error).__name__}: {lines[0]}")
        tell(end=name)


if __name__ == "__main__":
    main(sys.argv[1:])
