"""Puts empty stand-ins in the place of the CUDA libraries, for an image that will never see a graphics card.

    python3.11 docker/cuda_stubs.py VENV        # needs binutils: nm, as, ld

The public registry's torch for Linux is the CUDA build, and its libraries name the CUDA ones as needed, so that
``import torch`` fails without them: 4.4 GB of which a processor runs nothing. The stand-ins, 15 kB each, have the same
names and every function torch asks them for, by name and version. Each of these only returns an error; none is called,
since the CUDA runtime, which stays, finds no card.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

# Libraries whose functions carry a version: by that version, the library.
VERSIONED = {
    "NVSHMEM": "libnvshmem_host.so.3",
    **{
        name: name
        for name in (
            "libcublas.so.12",
            "libcublasLt.so.12",
            "libcudnn.so.9",
            "libcufft.so.11",
            "libcupti.so.12",
            "libcusparse.so.12",
        )
    },
}
# The others: by the beginning of their functions' names, the library.
UNVERSIONED = {
    "nccl": "libnccl.so.2",
    "cuFile": "libcufile.so.0",
    "cusparseLt": "libcusparseLt.so.0",
    "curand": "libcurand.so.10",
}
ONLY_CUDA = "libtorch_cuda_linalg.so"  # opened when a matrix on a card is to be solved
ERROR = 999  # what most CUDA libraries say for "unknown error"


def wanted(libraries: list[Path]) -> dict[str, tuple[str, set[str]]]:
    """Return, by CUDA library, the version its functions carry (empty: none) and the functions torch asks for."""
    found: dict[str, tuple[str, set[str]]] = {library: (version, set()) for version, library in VERSIONED.items()}
    found |= {library: ("", set()) for library in UNVERSIONED.values()}
    listed = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", *libraries], check=True, stdout=subprocess.PIPE, text=True
    )
    for line in listed.stdout.splitlines():
        symbol, _, version = line.rpartition(" ")[2].partition("@")
        by_name = next((library for start, library in UNVERSIONED.items() if symbol.startswith(start)), None)
        library = VERSIONED.get(version.lstrip("@")) or (by_name if not version else None)
        if library:
            found[library][1].add(symbol)
    return found


def make(library: Path, version: str, functions: set[str]) -> None:
    """Write a shared library of this name whose functions return an error."""
    labels = "".join(f".globl {name}\n.type {name}, @function\n{name}:\n" for name in sorted(functions))
    with tempfile.TemporaryDirectory() as folder:
        source, object_, map_ = (Path(folder, f"stub.{end}") for end in ("s", "o", "map"))
        source.write_text(f'.text\n{labels}mov ${ERROR}, %eax\nret\n.section .note.GNU-stack, "", @progbits\n')
        subprocess.run(["as", "-o", object_, source], check=True)
        map_.write_text(f"{version} {{ global: *; }};\n")
        versioned = [f"--version-script={map_}"] if version else []
        subprocess.run(["ld", "-shared", "-soname", library.name, *versioned, "-o", library, object_], check=True)


def main() -> None:
    """Make the stand-ins beside torch's own libraries, where those look last, and remove what then has no use."""
    folder = Path(sys.argv[1], "lib", "python3.11", "site-packages", "torch", "lib")
    (folder / ONLY_CUDA).unlink(missing_ok=True)
    for library, (version, functions) in wanted(sorted(folder.glob("*.so"))).items():
        make(folder / library, version, functions)


if __name__ == "__main__":
    main()
