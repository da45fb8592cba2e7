"""Run risky checks in separate processes, so that a crash or hang becomes a result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slt.env.probes import MARK


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a probe brought back.

    Attributes:
        facts: what it found out, also when it did not reach its end.
        error: why it did not, in one line that begins with the step it died in; empty when all went well.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def run_probes(groups: Sequence[Sequence[str]], *, timeout_s: float) -> dict[str, Outcome]:
    """Run groups of probes side by side, the probes of one group after another in one process.

    Those of a group share what costs most, importing torch; one that kills their process leaves the rest untried.

    Args:
        groups: keys of `slt.env.probes.PROBES`.
        timeout_s: seconds after which whatever still runs is ended and counts as hanging.

    Returns:
        The outcome of each probe by name, in the order given.
    """
    deadline = time.monotonic() + timeout_s
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="slt-doctor-") as folder:
        running = [_Running(names, Path(folder, str(number))) for number, names in enumerate(groups)]
        try:
            for group in running:
                outcomes |= group.outcomes(deadline, timeout_s)
        finally:
            for group in running:
                group.end()
    return outcomes


class _Running:
    """A process that runs the probes ``names``; ``stem`` names the two files it writes to."""

    def __init__(self, names: Sequence[str], stem: Path) -> None:
        self.names, self.out, self.err = names, stem.with_suffix(".out"), stem.with_suffix(".err")
        # -P: a folder called torch in the current directory is nobody's torch.
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "slt.env.probes", *names]
        with self.out.open("wb") as out, self.err.open("wb") as err:  # files, unlike pipes, never fill up
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def outcomes(self, deadline: float, timeout_s: float) -> dict[str, Outcome]:
        """Wait until all is said, the process is dead or the deadline has passed, and sort out what was found."""
        load = f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
        death = f"no answer within {timeout_s:g} s ({load}; --timeout waits longer)"
        try:
            code = self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            death = _last_words(code, self.err.read_text("utf-8", "replace"))
        except subprocess.TimeoutExpired:
            self.end()
        told = self._messages()
        outcomes: dict[str, Outcome] = {}
        culprit = ""
        for name in self.names:
            messages = told.get(name, [])
            facts = {key: value for message in messages for key, value in message.get("facts", {}).items()}
            error = next((f"{_step(messages)}: {message['error']}" for message in messages if "error" in message), "")
            if culprit:
                error = f"not tried, since the process died before, at: {culprit}"
            elif not any("end" in message for message in messages):
                culprit = _step(messages)
                error = f"{culprit}: {death}"
            outcomes[name] = Outcome(facts=facts, error=error)
        return outcomes

    def _messages(self) -> dict[str, list[dict[str, Any]]]:
        """Return what each probe said, in order."""
        told: dict[str, list[dict[str, Any]]] = {}
        current: list[dict[str, Any]] = []
        for line in self.out.read_text("utf-8", "replace").splitlines():
            if not line.startswith(MARK):
                continue
            message = json.loads(line.removeprefix(MARK))
            if "begin" in message:
                current = told.setdefault(message["begin"], [])
            current.append(message)
        return told

    def end(self) -> None:
        """End the process, and whatever it started, if it still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _step(messages: Sequence[dict[str, Any]]) -> str:
    return next((message["step"] for message in reversed(messages) if "step" in message), "start Python")


def _last_words(code: int, stderr: str) -> str:
    """Describe how a process died that could not say so itself, with the place in Python and its last other line."""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    where = next((line for line in lines if line.startswith('File "')), "")
    said = [line for line in lines if not line.startswith(('File "', "Current thread", "Thread", "Fatal Python error"))]
    return "; ".join(part for part in (how, where, said[-1] if said else "") if part)
