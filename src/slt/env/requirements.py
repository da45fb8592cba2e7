"""Check the other declared packages against what is installed."""

from __future__ import annotations

from importlib import metadata

from slt.env.checks import CheckResult
from slt.env.stack import REINSTALL, version_of

JUDGED_ELSEWHERE = frozenset({"torch", "torchaudio", "fairseq2", "sonar-space"})
OWN_ROW = "transformers"


def declared() -> dict[str, str] | None:
    """Return package → version specifier of what slt needs to run, or None when slt itself is not installed."""
    try:
        lines = metadata.requires("slt") or []
    except metadata.PackageNotFoundError:
        return None
    wanted = [line.partition(";")[0].strip() for line in lines if _applies(line.partition(";")[2].strip())]
    return dict(_split(line) for line in wanted)


def _applies(marker: str) -> bool:
    """Return whether a requirement with this marker is one of this Python's, and of no extra."""
    try:
        from packaging.markers import Marker
    except ModuleNotFoundError:  # named as missing itself
        return "extra ==" not in marker
    return not marker or Marker(marker).evaluate({"extra": ""})


def _split(requirement: str) -> tuple[str, str]:
    name = requirement
    for sign in "=<>!~":
        name = name.partition(sign)[0]
    return name.strip(), requirement.removeprefix(name).strip()


def check_requirements(fix: str = REINSTALL) -> list[CheckResult]:
    """Judge every package slt declares: one row for slt, one for transformers, one for all others.

    Args:
        fix: what to do about a missing or wrong one.
    """
    wanted = declared()
    if wanted is None:
        slt_fix = "`make env` installs it"
        return [CheckResult(name="slt", status="fail", found="not installed", expected="installed", fix=slt_fix)]
    mine = CheckResult(name="slt", status="ok", found=metadata.version("slt"))
    others = {name: spec for name, spec in wanted.items() if name not in JUDGED_ELSEWHERE | {OWN_ROW}}
    complaints = {name: told for name, spec in others.items() if (told := _complaint(name, spec))}
    return [mine, _transformers(wanted.get(OWN_ROW, ""), fix), _others(others, complaints, fix)]


def _transformers(spec: str, fix: str) -> CheckResult:
    version, complaint = version_of(OWN_ROW), _complaint(OWN_ROW, spec)
    if complaint:
        return CheckResult(name=OWN_ROW, status="fail", found=version or "missing", expected=spec, fix=fix)
    return CheckResult(name=OWN_ROW, status="ok", found=version or "", expected=spec)


def _others(wanted: dict[str, str], complaints: dict[str, str], fix: str) -> CheckResult:
    expected = "as slt declares them"
    if complaints:
        found = "; ".join(complaints.values())
        return CheckResult(name="other packages", status="fail", found=found, expected=expected, fix=fix)
    return CheckResult(name="other packages", status="ok", found=", ".join(wanted), expected=expected)


def _complaint(name: str, spec: str) -> str:
    """Describe what is wrong with a package, in a few words; empty when nothing is."""
    version = version_of(name)
    if version is None:
        return f"{name} is missing"
    if spec and not _satisfies(version, spec):
        return f"{name} is {version} instead of {spec}"
    return ""


def _satisfies(version: str, spec: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ModuleNotFoundError:  # fairseq2 needs it too, so its probe names it
        return True
    return SpecifierSet(spec).contains(version, prereleases=True)
