"""The checks of `slt doctor`, in the order in which to fix them."""

from __future__ import annotations

from slt.env.checks import CheckResult
from slt.env.isolate import Outcome, run_probes
from slt.env.machine import check_glibc, check_gpu, check_processor, check_python, check_system
from slt.env.places import check_bundles, check_disk, check_home, check_network
from slt.env.requirements import check_requirements
from slt.env.stack import (
    REINSTALL,
    Installed,
    check_fairseq2,
    check_fairseq2n,
    check_library,
    check_sonar_space,
    check_torch,
    check_torchaudio,
)
from slt.env.without_fairseq2 import (
    INSTALL,
    check_any_python,
    check_any_system,
    check_any_torch,
    check_no_fairseq2,
)

TORCH_PROBES = ("torch", "gpu", "torchaudio")
FAIRSEQ2_PROBES = ("libraries", "fairseq2n")
SONAR_PROBE, M2M100_PROBE = "sonar", "m2m100"


def examine(*, quick: bool, timeout_s: float) -> list[CheckResult]:
    """Examine this machine and environment.

    Args:
        quick: leave out building and running a model.
        timeout_s: seconds after which a library that neither loads nor fails counts as hanging.

    Returns:
        One result per row, never an exception: a cause stands above its consequences.
    """
    here = Installed.here()
    examined = _with_fairseq2 if here.has_fairseq2 else _without_fairseq2
    machine, stack, probes = examined(here, quick=quick, timeout_s=timeout_s)
    return [
        *machine,
        check_glibc(),
        check_processor(),
        *stack,
        check_gpu(probes["gpu"]),
        check_home(),
        check_disk(),
        check_network(),
        check_bundles(),
        *(check_model(probes[name]) for name in (SONAR_PROBE, M2M100_PROBE) if name in probes),
    ]


Examined = tuple[list[CheckResult], list[CheckResult], dict[str, Outcome]]
"""Rows of the machine, rows of the packages, and what the probes found."""


def _with_fairseq2(here: Installed, *, quick: bool, timeout_s: float) -> Examined:
    # With a model to run, importing torch a second time, side by side, still ends earlier.
    groups = [TORCH_PROBES + FAIRSEQ2_PROBES] if quick else [TORCH_PROBES, (*FAIRSEQ2_PROBES, SONAR_PROBE)]
    probes = run_probes(groups, timeout_s=timeout_s)
    slt, *packages = check_requirements()
    stack = [
        slt,
        check_torch(here, probes["torch"]),
        check_torchaudio(here, probes["torchaudio"]),
        check_library("libtbb.so.12", "tbb", probes["libraries"]),
        check_library("libsndfile.so.1", "soundfile", probes["libraries"]),
        check_fairseq2(here),
        check_fairseq2n(here, probes["fairseq2n"]),
        check_sonar_space(here),
        *packages,
    ]
    return [check_system(), check_python()], stack, probes


def _without_fairseq2(here: Installed, *, quick: bool, timeout_s: float) -> Examined:
    probes = run_probes([("torch", "gpu"), () if quick else (M2M100_PROBE,)], timeout_s=timeout_s)
    slt, *packages = check_requirements(fix=INSTALL)
    stack = [slt, check_any_torch(here, probes["torch"]), check_no_fairseq2(), *packages]
    return [check_any_system(), check_any_python()], stack, probes


def check_model(probe: Outcome) -> CheckResult:
    """Judge the run of a tiny SONAR encoder and decoder."""
    expected = "a tiny encoder and decoder run"
    if not probe.error:
        return CheckResult(name="SONAR", status="ok", found=str(probe.facts.get("ran")), expected=expected)
    fix = f"mend what fails above, if anything; if it stays, delete .venv: {REINSTALL}"
    return CheckResult(name="SONAR", status="fail", found=probe.error, expected=expected, fix=fix)
