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

TORCH_PROBES = ("torch", "gpu", "torchaudio")
FAIRSEQ2_PROBES = ("libraries", "fairseq2n")
MODEL_PROBES = ("sonar",)


def examine(*, quick: bool, timeout_s: float) -> list[CheckResult]:
    """Examine this machine and environment.

    Args:
        quick: leave out building and running a model.
        timeout_s: seconds after which a library that neither loads nor fails counts as hanging.

    Returns:
        One result per row, never an exception: a cause stands above its consequences.
    """
    groups = [TORCH_PROBES, FAIRSEQ2_PROBES if quick else FAIRSEQ2_PROBES + MODEL_PROBES]
    probes = run_probes(groups, timeout_s=timeout_s)
    here = Installed.here()
    slt, *packages = check_requirements()
    results = [
        check_system(),
        check_python(),
        check_glibc(),
        check_processor(),
        slt,
        check_torch(here, probes["torch"]),
        check_torchaudio(here, probes["torchaudio"]),
        check_library("libtbb.so.12", "tbb", probes["libraries"]),
        check_library("libsndfile.so.1", "soundfile", probes["libraries"]),
        check_fairseq2(here),
        check_fairseq2n(here, probes["fairseq2n"]),
        check_sonar_space(here),
        *packages,
        check_gpu(probes["gpu"]),
        check_home(),
        check_disk(),
        check_network(),
        check_bundles(),
    ]
    return results if quick else [*results, check_model(probes["sonar"])]


def check_model(probe: Outcome) -> CheckResult:
    """Judge the run of a tiny SONAR encoder and decoder."""
    expected = "a tiny encoder and decoder run"
    if not probe.error:
        return CheckResult(name="SONAR", status="ok", found=str(probe.facts.get("ran")), expected=expected)
    fix = f"mend what fails above, if anything; if it stays, delete .venv: {REINSTALL}"
    return CheckResult(name="SONAR", status="fail", found=probe.error, expected=expected, fix=fix)
