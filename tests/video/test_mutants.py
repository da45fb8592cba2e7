"""No broken video may cost more than itself: each ends in frames or in words, soon, and without a crash."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest

LONGEST_S = 60.0  # for one video, on a machine that has other work; a hang lasts for ever
ENDS = re.compile(r"\d+ (read: [1-9]\d* frames, [1-9]\d* windows, \d+ warnings|refused: \S.*)")


def outcomes(first: int, after: int) -> list[str]:
    """Try mutants in a process of their own; a crash or a hang is told with the number of the mutant."""
    command = [sys.executable, "-m", "tests.video.mutants", str(first), str(after)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    assert process.stderr is not None
    with process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        told, last = b"", time.monotonic()
        while True:
            if not selector.select(timeout=1.0):
                if time.monotonic() - last > LONGEST_S:
                    process.kill()
                    done = told.count(b"\n")
                    pytest.fail(f"mutant {first + done} took over {LONGEST_S:.0f} s")
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            told, last = told + chunk, time.monotonic()
        errors = process.stderr.read().decode()
    lines = told.decode().splitlines()
    assert process.returncode == 0, f"mutant {first + len(lines)} ended the process: {errors[-3000:]}"
    return lines


def check(first: int, after: int) -> None:
    lines = outcomes(first, after)
    assert len(lines) == after - first
    assert [line for line in lines if not ENDS.fullmatch(line)] == []
    assert {line.split()[1] for line in lines} == {"read:", "refused:"}


@pytest.mark.slow
def test_a_few_broken_videos():
    check(0, 20)


@pytest.mark.slow
def test_a_hundred_broken_videos():
    check(20, 120)
