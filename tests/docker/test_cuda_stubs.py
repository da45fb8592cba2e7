from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docker.cuda_stubs import ERROR, ONLY_CUDA, main

TOOLS = ("nm", "as", "ld", "gcc")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")


def library(path: Path, code: str, *options: str) -> None:
    """Build a shared library of C."""
    path.with_suffix(".c").write_text(code)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, path.with_suffix(".c"), *options], check=True)


def test_a_library_that_needs_cuda_loads_with_the_stand_ins_and_is_told_of_an_error(tmp_path, monkeypatch):
    real, torch = tmp_path / "real", tmp_path / "lib" / "python3.11" / "site-packages" / "torch" / "lib"
    real.mkdir()
    torch.mkdir(parents=True)
    (tmp_path / "map").write_text("libcublas.so.12 { global: *; };")
    options = ["-Wl,-soname,libcublas.so.12", f"-Wl,--version-script={tmp_path / 'map'}"]
    library(real / "libcublas.so.12", "int cublasCreate_v2(void) { return 0; }", *options)
    library(real / "libnccl.so.2", "int ncclInit(void) { return 0; }", "-Wl,-soname,libnccl.so.2")
    needed = [str(real / "libcublas.so.12"), str(real / "libnccl.so.2")]
    code = "int cublasCreate_v2(void); int ncclInit(void); int both(void) { return cublasCreate_v2() + ncclInit(); }"
    library(torch / "libtorch_cuda.so", code, *needed, "-Wl,-rpath,$ORIGIN")
    (torch / ONLY_CUDA).touch()
    monkeypatch.setattr(sys, "argv", ["cuda_stubs.py", str(tmp_path)])
    main()
    assert not (torch / ONLY_CUDA).exists()
    # In a process of its own: where torch was imported, its real libraries of these names are loaded already.
    script = f"import ctypes; print(ctypes.CDLL({str(torch / 'libtorch_cuda.so')!r}).both())"
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert int(said) == 2 * ERROR
