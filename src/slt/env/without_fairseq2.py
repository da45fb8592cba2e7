"""The checks of an environment without fairseq2, where transformers computes SONAR's text models.

Any torch and any Python that the other packages fit will do there.
"""

from __future__ import annotations

import platform
import sys

from slt.env.checks import CheckResult, Status
from slt.env.isolate import Outcome
from slt.env.matrix import PINNED
from slt.env.stack import Installed

OLDEST_PYTHON = (3, 11)
INSTALL = "install again with docker/without-fairseq2.txt, as docs/compatibility.md says"


def check_any_system(system: str | None = None, machine: str | None = None) -> CheckResult:
    """Look for Linux on x86-64, where slt is tested; by default this machine's."""
    found, expected = f"{system or platform.system()} {machine or platform.machine()}", "Linux x86_64"
    status: Status = "ok" if found == expected else "warn"
    fix = "" if status == "ok" else f"nothing need be done, but slt is tested on {expected} only"
    return CheckResult(name="system", status=status, found=found, expected=expected, fix=fix)


def check_any_python(version: tuple[int, ...] | None = None) -> CheckResult:
    """Look at a Python version, by default the running one."""
    version = version or sys.version_info[:3]
    found, oldest = ".".join(map(str, version)), ".".join(map(str, OLDEST_PYTHON))
    status: Status = "ok" if version[:2] >= OLDEST_PYTHON else "fail"
    fix = "" if status == "ok" else f"make an environment of Python {oldest} or newer"
    return CheckResult(name="Python", status=status, found=found, expected=f">= {oldest}", fix=fix)


def check_any_torch(here: Installed, probe: Outcome) -> CheckResult:
    """Judge whether torch is there and loads."""
    if here.torch is None:
        return CheckResult(name="torch", status="fail", found="missing", expected="any", fix=INSTALL)
    found = f"{here.torch} (CUDA {here.torch_cuda or 'none'})"
    if probe.error:
        return CheckResult(
            name="torch", status="fail", found=f"{found}, but {probe.error}", expected="any", fix=INSTALL
        )
    return CheckResult(name="torch", status="ok", found=found, expected="any, without fairseq2")


def check_no_fairseq2() -> CheckResult:
    """Say what computes the text models instead."""
    expected = f"{PINNED.fairseq2} beside torch {PINNED.torch}, or none of its packages"
    return CheckResult(name="fairseq2", status="ok", found="not here, text engine transformers", expected=expected)
