"""Processes of ``slt`` that start at once: one process imports what training needs, and they are forked from it.

Each is a process like any other, with an environment, signals and an exit code of its own; what a start from nothing
costs, 4 s of imports, is paid once for all of them.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FORKS = """
import json, os, sys
import slt.text.sonar.model, slt.train.run
from slt_cli.main import main

def begin(words, environment, said):
    os.environ.clear()
    os.environ.update(environment)
    for number, kind in ((0, None), (1, "out"), (2, "err")):
        way = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(f"{said}.{kind}", way) if kind else os.open(os.devnull, os.O_RDONLY), number)
    sys.exit(main(words))

for line in sys.stdin:
    words, environment, said = json.loads(line)
    if not (pid := os.fork()):
        begin(words, environment, said)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Warm:
    """A process that others are forked from."""

    process: subprocess.Popen[bytes]

    def start(self, words: list[str], said: Path) -> int:
        """Start ``slt`` with these words, in the environment of this test.

        Args:
            words: what follows ``slt``.
            said: what it writes is added to this name with ".out" and ".err".

        Returns:
            the process's id.
        """
        assert self.process.stdin
        self.process.stdin.write(json.dumps([words, dict(os.environ), str(said)]).encode() + b"\n")
        return self._answer()

    def wait(self) -> int:
        """Wait for the one that was started last; return its exit code."""
        return self._answer()

    def _answer(self) -> int:
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], 300)[0], "it hangs"
        return int(self.process.stdout.readline())


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    words = [sys.executable, "-c", _FORKS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=ROOT) as process:
        yield Warm(process=process)
        assert process.stdin
        process.stdin.close()
