from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slt.env.isolate import run_probes


@pytest.fixture
def torch_does(tmp_path, monkeypatch):
    """Return a function that puts a torch of the given code before the real one."""

    def put(code: str) -> None:
        (tmp_path / "torch.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    return put


def test_what_a_probe_found_comes_back(torch_does):
    torch_does("class version: cuda = '11.8'\n__version__ = '1.2.3'\nprint('a library greets')")
    outcome = run_probes([["torch"]], timeout_s=30)["torch"]
    assert outcome.facts == {"version": "1.2.3", "cuda": "11.8"}
    assert not outcome.error


def test_an_exception_is_told_with_its_step_and_the_next_probe_still_runs(torch_does):
    torch_does("raise OSError('libfoo.so.1: cannot open shared object file\\nwith a second line')")
    outcomes = run_probes([["torch", "libraries"]], timeout_s=30)
    assert outcomes["torch"].error == "import torch: OSError: libfoo.so.1: cannot open shared object file"
    assert "libtbb.so.12" in outcomes["libraries"].facts


def test_an_exception_without_words_is_told_too(torch_does):
    torch_does("raise ValueError")
    assert run_probes([["torch"]], timeout_s=30)["torch"].error == "import torch: ValueError: no reason given"


@pytest.mark.parametrize(
    ("code", "death"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "import torch: killed by SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "import torch: killed by SIGSEGV; File "),
        ("import os\nos._exit(7)", "import torch: ended with code 7"),
        ("import sys\nsys.exit('no licence found')", "import torch: ended with code 1; no licence found"),
    ],
)
def test_a_death_is_told_and_what_came_after_is_untried(torch_does, code, death):
    torch_does(code)
    outcomes = run_probes([["torch", "libraries"]], timeout_s=30)
    assert outcomes["torch"].error.startswith(death)
    assert outcomes["libraries"].error == "not tried, since the process died before, at: import torch"


@pytest.mark.slow
def test_a_hang_is_ended_with_all_it_started_and_costs_no_other_group(torch_does, tmp_path):
    pid = tmp_path / "pid"
    torch_does(
        "import pathlib, subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '600'])\npathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    outcomes = run_probes([["torch"], ["libraries"]], timeout_s=5)
    assert outcomes["torch"].error.startswith("import torch: no answer within 5 s (load ")
    assert not outcomes["libraries"].error
    child, deadline = int(pid.read_text()), time.monotonic() + 10
    while not _ended(child) and time.monotonic() < deadline:  # a kill takes effect a moment after it is sent
        time.sleep(0.05)
    assert _ended(child)


def _ended(pid: int) -> bool:
    """Return whether a process is gone, or will be once its adoptive parent asks for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_what_lies_in_the_current_folder_is_nobodys_package(tmp_path, monkeypatch):
    (tmp_path / "ctypes.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert not run_probes([["libraries"]], timeout_s=30)["libraries"].error
