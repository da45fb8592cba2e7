"""Cuts environment.lock into the parts that the image installs one upon the other, each a layer of its own.

    python3 docker/lock_parts.py FOLDER      # writes 1-cuda.lock, 2-torch.lock, 3-run.lock and others

Each numbered part holds the one before it, so each can be given to ``uv pip sync``; 3-cpu.lock alone does without CUDA.
A layer is made anew only when its part has changed: a new small package costs neither the download nor the transfer of
torch and the CUDA libraries.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA = "nvidia-"
TORCH = ("torch",)
ON_A_CPU_TOO = ("nvidia-cuda-runtime-cu12",)  # it tells that there is no card; the others: docker/cuda_stubs.py
OURS = "slt (pyproject.toml)"
# Triton builds its kernels with a C compiler, and the image has none: 594 MB that could never run.
LEFT_OUT = ("triton",)


def blocks(lock: str) -> dict[str, str]:
    """Return the lock's text package by package: the pin, its hashes, and who asked for it."""
    found = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    return {block.partition("==")[0]: block for block in found}


def askers(block: str) -> set[str]:
    """Return who asked for a package, as the comment at its end tells: other packages, or pyproject.toml."""
    told = block.partition("# via")[2]
    return {line.strip(" #") for line in told.splitlines() if line.strip(" #")}


def only_for_development(packages: Mapping[str, str], project: Mapping[str, object]) -> set[str]:
    """Return the packages that nothing but the ``dev`` extra of pyproject.toml needs, directly or not."""
    extras, needed = project["optional-dependencies"], project["dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(needed, list)
    tools, running = (
        {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines} for lines in (extras["dev"], needed)
    )
    unneeded = {name for name in packages if name not in running}
    while True:  # strike out whatever something needed asks for, until nothing changes
        kept = {
            name
            for name in unneeded
            if all(asker in unneeded or (asker == OURS and name in tools) for asker in askers(packages[name]))
        }
        if kept == unneeded:
            return kept
        unneeded = kept


def parts(lock: str, project: Mapping[str, object]) -> dict[str, str]:
    """Return the text of each part by its file's name."""
    packages = {name: block for name, block in blocks(lock).items() if name not in LEFT_OUT}
    tools = only_for_development(packages, project)
    chosen = {
        "1-cuda.lock": [name for name in packages if name.startswith(CUDA)],
        "2-torch.lock": [name for name in packages if name.startswith(CUDA) or name in TORCH],
        "3-run.lock": [name for name in packages if name not in tools],
        "3-cpu.lock": [
            name for name in packages if name not in tools and (name in ON_A_CPU_TOO or not name.startswith(CUDA))
        ],
        "4-dev.lock": list(packages),
        "uv.lock": ["uv"],
    }
    return {part: "".join(packages[name] for name in names) for part, names in chosen.items()}


def main() -> None:
    """Write the parts into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, text in parts((ROOT / "environment.lock").read_text("utf-8"), project).items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
