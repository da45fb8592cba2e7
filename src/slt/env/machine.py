"""Check the machine: system, Python, C library, processor and GPUs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from slt.env.checks import CheckResult
from slt.env.isolate import Outcome

PYTHONS = ((3, 11), (3, 12))  # those of requires-python in pyproject.toml
GLIBC = (2, 28)  # the wheels are manylinux_2_28
DRIVER = 525  # the oldest that runs programs of CUDA 12.x
FAST_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def check_system(system: str | None = None, machine: str | None = None) -> CheckResult:
    """Look for Linux on x86-64, the platform of environment.lock; by default look at this machine."""
    found = f"{system or platform.system()} {machine or platform.machine()}"
    if found == "Linux x86_64":
        return CheckResult(name="system", status="ok", found=found, expected=found)
    fix = "use a Linux machine with an Intel or AMD processor: environment.lock is for no other (docs/compatibility.md)"
    return CheckResult(name="system", status="fail", found=found, expected="Linux x86_64", fix=fix)


def check_python(version: tuple[int, ...] | None = None) -> CheckResult:
    """Look at a Python version, by default the running one."""
    version = version or sys.version_info[:3]
    found, wanted = ".".join(map(str, version)), " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    if version[:2] in PYTHONS:
        return CheckResult(name="Python", status="ok", found=f"{found} ({sys.executable})", expected=wanted)
    age = "new" if version[:2] > PYTHONS[-1] else "old"
    fix = "run `make env`: it finds or downloads a Python that fits, or takes the one that SLT_PYTHON names"
    return CheckResult(name="Python", status="fail", found=f"{found}, too {age}", expected=wanted, fix=fix)


def check_glibc(version: str | None = None) -> CheckResult:
    """Look at the C library's version ("2.36"), by default this machine's; empty means that it is not glibc."""
    wanted = ".".join(map(str, GLIBC))
    if version is None:
        version = platform.libc_ver()[1]
    if version and tuple(map(int, version.split(".")[:2])) >= GLIBC:
        return CheckResult(name="glibc", status="ok", found=version, expected=f">= {wanted}")
    fix = "use Debian 10, Ubuntu 20.04, RHEL 8 or anything newer, or the Docker image"
    return CheckResult(
        name="glibc", status="fail", found=version or "not glibc (musl?)", expected=f">= {wanted}", fix=fix
    )


def check_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> CheckResult:
    """Look at the processor's vector instructions, on which its speed hangs, as ``/proc/cpuinfo`` lists them."""
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text("utf-8", "replace").splitlines() if cpuinfo.is_file() else ():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set(fields.get("flags", "").split())
    fast = [flag for flag in FAST_FLAGS if flag in flags]
    cores = len(os.sched_getaffinity(0))
    name = fields.get("model name", "unknown processor")
    found = f"{name}, {cores} cores, {' '.join(fast) or 'no fast vector instructions'}"
    if "avx2" in flags:
        return CheckResult(name="processor", status="ok", found=found, expected="avx2")
    fix = "nothing need be done, but expect it to be slow: any processor since 2015 has avx2"
    return CheckResult(name="processor", status="warn", found=found, expected="avx2", fix=fix)


def check_gpu(probe: Outcome) -> CheckResult:
    """Judge the graphics cards: what the driver lists against what torch could use."""
    listed, devices = nvidia_cards(), probe.facts.get("devices", [])
    if devices and probe.error:
        fix = "CUDA_VISIBLE_DEVICES= (empty) makes everything run on the CPU until the card or its driver is mended"
        return CheckResult(name="GPU", status="fail", found=probe.error, expected="a GPU that computes", fix=fix)
    if devices:
        cards = ", ".join(f"{card['name']} ({card['gb']:.0f} GB, compute {card['compute']})" for card in devices)
        driver = f", driver {listed[0].partition(',')[0]}" if listed else ""
        return CheckResult(name="GPU", status="ok", found=cards + driver)
    if not listed:
        return CheckResult(name="GPU", status="ok", found="none: everything runs on the CPU")
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return CheckResult(name="GPU", status="ok", found="hidden by CUDA_VISIBLE_DEVICES: everything runs on the CPU")
    return CheckResult(
        name="GPU",
        status="warn",
        found=f"driver {'; '.join(listed)}, but torch cannot use it{f' ({probe.error})' if probe.error else ''}",
        expected=f"driver >= {DRIVER}",
        fix=_gpu_fix(listed[0], probe),
    )


def _gpu_fix(card: str, probe: Outcome) -> str:
    if probe.error:
        return "mend torch first"
    driver = card.split(".")[0]
    if driver.isdigit() and int(driver) < DRIVER:
        return f"install an NVIDIA driver {DRIVER} or newer; until then everything runs on the CPU"
    return "in a container, start it with its GPUs (docker run --gpus all, apptainer run --nv); else reload the driver"


def nvidia_cards() -> list[str]:
    """Return "driver version, name" of each NVIDIA card, asked of ``nvidia-smi``; empty without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["unknown: nvidia-smi does not answer"]
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
