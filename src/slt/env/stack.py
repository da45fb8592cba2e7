"""Check torch, fairseq2 and the packages that must match them, by the matrix.

Nothing here imports any of them. What is installed is read from the packages' metadata and version files, so that a
missing or broken one is only named; whether it loads, a probe has found out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from slt.env.checks import CheckResult, Status
from slt.env.isolate import Outcome
from slt.env.matrix import PINNED, Row, row_of, rows_with, same_version

REINSTALL = "`make env` reinstalls what environment.lock pins"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """Versions of the packages of the stack; None where one is missing.

    Attributes:
        torch_cuda: the CUDA that torch was built with, None for a build without.
        built_for: torch's version fairseq2n says it was compiled against, and ...
        built_for_cuda: ... its CUDA ("12.8"), None for none.
    """

    torch: str | None
    torch_cuda: str | None
    torchaudio: str | None
    fairseq2: str | None
    fairseq2n: str | None
    built_for: str | None
    built_for_cuda: str | None
    sonar_space: str | None

    @classmethod
    def here(cls) -> Installed:
        """Read what is installed in this environment."""
        torch, fairseq2n = _constants("torch", "version.py"), _constants("fairseq2n", "config.py")
        cuda = fairseq2n.get("_CUDA_VERSION")
        return cls(
            torch=torch.get("__version__") or version_of("torch"),
            torch_cuda=torch.get("cuda"),
            torchaudio=version_of("torchaudio"),
            fairseq2=version_of("fairseq2"),
            fairseq2n=version_of("fairseq2n"),
            built_for=fairseq2n.get("_TORCH_VERSION"),
            built_for_cuda=".".join(map(str, cuda)) if cuda else None,
            sonar_space=version_of("sonar-space"),
        )

    @property
    def has_fairseq2(self) -> bool:
        """Whether any of its packages is installed, though it may not load."""
        return any((self.fairseq2, self.fairseq2n, self.sonar_space))

    @property
    def row(self) -> Row:
        """The combination this environment is measured by: fairseq2's own when torch is of it too, else the pin."""
        row = row_of(self.fairseq2 or "")
        return row if row and self.torch and same_version(row.torch, self.torch) else PINNED


def version_of(package: str) -> str | None:
    """Return a package's version by its metadata, or None when it is missing or half removed."""
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, TypeError, KeyError):  # the latter two: a dist-info without its files
        return None


def check_torch(here: Installed, probe: Outcome) -> CheckResult:
    """Judge torch: its version against fairseq2's, its build, and whether it could be imported."""
    row = here.row
    wanted = f"{row.torch} (CUDA {row.cuda})"
    if here.torch is None:
        return _missing("torch", wanted)
    found = f"{here.torch} (CUDA {here.torch_cuda or 'none'})"
    if not same_version(here.torch, row.torch):
        expected = f"{wanted}, which fairseq2 {row.fairseq2} is compiled against"
        return CheckResult(name="torch", status="fail", found=found, expected=expected, fix=_fix_torch(here))
    if probe.error:
        return _unloadable("torch", found, wanted, probe)
    if here.torch_cuda != row.cuda:
        fix = f"{REINSTALL}; other builds of torch {row.torch} are not tried with fairseq2"
        return CheckResult(name="torch", status="warn", found=found, expected=wanted, fix=fix)
    return _good("torch", found, wanted, row)


def _fix_torch(here: Installed) -> str:
    version = (here.torch or "").partition("+")[0]
    partners = [f"fairseq2 {row.fairseq2} with sonar-space {row.sonar_space}" for row in rows_with(version)]
    to_keep = f"to keep torch {version} you would need {' or '.join(partners)}"
    if not partners:
        to_keep = f"no fairseq2 that we ran fits torch {version}, but slt works without: docs/compatibility.md says how"
    return f"{REINSTALL}, torch {PINNED.torch} among it; {to_keep}"


def check_torchaudio(here: Installed, probe: Outcome) -> CheckResult:
    """Judge torchaudio, whose compiled half must fit torch."""
    row = here.row
    if here.torchaudio is None:
        return _missing("torchaudio", row.torchaudio)
    if not same_version(here.torchaudio, row.torchaudio):
        return _mismatch("torchaudio", here.torchaudio, f"{row.torchaudio}, made for torch {row.torch}")
    if probe.error:
        return _unloadable("torchaudio", here.torchaudio, row.torchaudio, probe)
    return _good("torchaudio", here.torchaudio, row.torchaudio, row)


def check_fairseq2(here: Installed) -> CheckResult:
    """Judge fairseq2's version, and that of its compiled half beside it."""
    row = here.row
    if here.fairseq2 is None:
        return _missing("fairseq2", row.fairseq2)
    if not same_version(here.fairseq2, row.fairseq2):
        own = row_of(here.fairseq2)
        wants = f"wants torch {own.torch} (CUDA {own.cuda})" if own else "is in no combination that we ran"
        return _mismatch("fairseq2", f"{here.fairseq2}, which {wants}", f"{row.fairseq2} beside torch {row.torch}")
    return _good("fairseq2", here.fairseq2, row.fairseq2, row)


def check_fairseq2n(here: Installed, probe: Outcome) -> CheckResult:
    """Judge fairseq2's compiled half: its version, what it says it was built for, and whether it could be loaded."""
    row = here.row
    if here.fairseq2n is None:
        return _missing("fairseq2n", row.fairseq2n)
    built = f"torch {here.built_for or 'unknown'} (CUDA {here.built_for_cuda or 'none'})"
    found = f"{here.fairseq2n}, built for {built}"
    expected = f"{row.fairseq2n}, built for torch {row.torch} (CUDA {row.cuda})"
    if not same_version(here.fairseq2n, row.fairseq2n):
        return _mismatch("fairseq2n", found, expected)
    if here.torch and here.built_for and not same_version(here.built_for, here.torch):
        return _mismatch("fairseq2n", f"{found}, but torch is {here.torch}", expected)
    if probe.error:
        return _unloadable("fairseq2n", found, expected, probe)
    return _good("fairseq2n", f"{found}; its library loads", expected, row)


def check_sonar_space(here: Installed) -> CheckResult:
    """Judge sonar-space, which follows fairseq2's programming interface."""
    row = here.row
    if here.sonar_space is None:
        return _missing("sonar-space", row.sonar_space)
    if not same_version(here.sonar_space, row.sonar_space):
        return _mismatch("sonar-space", here.sonar_space, f"{row.sonar_space} for fairseq2 {row.fairseq2}")
    return _good("sonar-space", here.sonar_space, row.sonar_space, row)


def check_library(name: str, package: str, probe: Outcome) -> CheckResult:
    """Judge a shared library that fairseq2n loads, and which a wheel (``package``) brings."""
    path, version = probe.facts.get(name), version_of(package)
    expected = f"found by the linker or in {sys.prefix}/lib"
    if path:
        return CheckResult(name=name, status="ok", found=path, expected=expected)
    found = "not found" if name in probe.facts else probe.error
    found += f", though {package} {version} is installed" if version else f", and {package} is missing"
    return CheckResult(
        name=name,
        status="fail",
        found=found,
        expected=expected,
        fix=f"{REINSTALL} and links its libraries; without the repository: docs/install.md",
    )


def _good(name: str, found: str, expected: str, row: Row) -> CheckResult:
    """Return ok for the pinned combination, and a warning for one that works but is not what we test."""
    status: Status = "ok" if row is PINNED else "warn"
    fix = (
        ""
        if row is PINNED
        else f"this combination has been seen to work, but slt is tested on the pinned one: {REINSTALL}"
    )
    return CheckResult(name=name, status=status, found=found, expected=expected, fix=fix)


def _missing(name: str, expected: str) -> CheckResult:
    return CheckResult(name=name, status="fail", found="missing", expected=expected, fix=REINSTALL)


def _mismatch(name: str, found: str, expected: str) -> CheckResult:
    return CheckResult(name=name, status="fail", found=found, expected=expected, fix=REINSTALL)


def _unloadable(name: str, found: str, expected: str, probe: Outcome) -> CheckResult:
    fix = f"mend what fails above, if anything; if it stays, delete .venv: {REINSTALL}"
    return CheckResult(name=name, status="fail", found=f"{found}, but {probe.error}", expected=expected, fix=fix)


def _constants(package: str, file: str) -> dict[str, Any]:
    """Return the literal constants assigned in one file of a package, without importing it.

    An unreadable or missing file has none; whether the package works at all, its probe says.
    """
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).with_name(file) if spec and spec.origin else None
    try:
        nodes = ast.parse(path.read_text("utf-8")).body if path else []
    except (OSError, ValueError, SyntaxError):
        return {}
    constants: dict[str, Any] = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant | ast.Tuple):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = ast.literal_eval(node.value)
            constants |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    return constants
