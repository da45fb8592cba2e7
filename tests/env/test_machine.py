from __future__ import annotations

import pytest

from slt.env.isolate import Outcome
from slt.env.machine import check_glibc, check_gpu, check_processor, check_python, check_system, nvidia_cards

H200 = {"name": "NVIDIA H200", "gb": 150.1, "compute": "9.0"}


def test_the_system_must_be_linux_on_x86_64():
    assert check_system().status == "ok"
    arm = check_system("Linux", "aarch64")
    assert (arm.status, arm.found, arm.expected) == ("fail", "Linux aarch64", "Linux x86_64")
    assert check_system("Darwin", "x86_64").status == "fail"


@pytest.mark.parametrize(
    ("version", "status", "says"),
    [
        ((3, 11, 7), "ok", "3.11.7"),
        ((3, 12, 1), "ok", "3.12.1"),
        ((3, 13, 0), "fail", "3.13.0, too new"),
        ((3, 10, 0), "fail", "3.10.0, too old"),
    ],
)
def test_python_must_be_one_that_the_wheels_are_made_for(version, status, says):
    result = check_python(version)
    assert result.status == status
    assert result.found.startswith(says)
    assert result.expected == "3.11 or 3.12"
    assert status == "ok" or result.fix.startswith("run `make env`: it finds or downloads a Python that fits")


@pytest.mark.parametrize(
    ("version", "status"), [("2.28", "ok"), ("2.36", "ok"), ("3.0.1", "ok"), ("2.17", "fail"), ("", "fail")]
)
def test_glibc_must_be_as_new_as_the_wheels(version, status):
    assert check_glibc(version).status == status
    assert version or check_glibc(version).found == "not glibc (musl?)"
    assert check_glibc().status == "ok"


def test_the_processors_vector_instructions_are_listed(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Fast One\nflags\t\t: sse avx2 avx512f amx_bf16\n\nmodel name\t: Second\n")
    fast = check_processor(cpuinfo)
    assert fast.status == "ok"
    assert fast.found.startswith("Fast One, ")
    assert fast.found.endswith("cores, avx2 avx512f amx_bf16")
    cpuinfo.write_text("model name : Old One\nflags : sse\n")
    assert check_processor(cpuinfo).status == "warn"
    assert "unknown processor" in check_processor(tmp_path / "absent").found


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts an nvidia-smi with the given words, or none, on PATH."""

    def put(script: str | None) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if script is not None:
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)

    return put


def test_the_driver_lists_its_cards(nvidia_smi):
    nvidia_smi(None)
    assert nvidia_cards() == []
    nvidia_smi("echo '570.86.15, NVIDIA H200'; echo '570.86.15, NVIDIA L4'")
    assert nvidia_cards() == ["570.86.15, NVIDIA H200", "570.86.15, NVIDIA L4"]
    nvidia_smi("echo 'NVIDIA-SMI has failed'; exit 9")
    assert nvidia_cards() == ["unknown: nvidia-smi does not answer"]


def test_no_gpu_is_fine_and_a_working_one_is_described(nvidia_smi):
    nvidia_smi(None)
    assert check_gpu(Outcome(facts={"devices": []})).found == "none: everything runs on the CPU"
    nvidia_smi("echo '570.86.15, NVIDIA H200'")
    found = check_gpu(Outcome(facts={"devices": [H200]})).found
    assert found == "NVIDIA H200 (150 GB, compute 9.0), driver 570.86.15"


def test_a_gpu_that_cannot_compute_fails(nvidia_smi):
    nvidia_smi("echo '570.86.15, NVIDIA H200'")
    result = check_gpu(Outcome(facts={"devices": [H200]}, error="multiply on GPU 0: AcceleratorError: no kernel image"))
    assert (result.status, result.found) == ("fail", "multiply on GPU 0: AcceleratorError: no kernel image")
    assert result.fix.startswith("CUDA_VISIBLE_DEVICES= (empty)")


@pytest.mark.parametrize(
    ("driver", "error", "fix"),
    [
        ("470.57.02", "", "install an NVIDIA driver 525 or newer"),
        ("570.86.15", "", "in a container, start it with its GPUs"),
        ("570.86.15", "import torch: ImportError: no", "mend torch first"),
    ],
)
def test_a_gpu_that_torch_does_not_see_is_a_warning_with_its_reason(nvidia_smi, driver, error, fix):
    nvidia_smi(f"echo '{driver}, Tesla V100'")
    result = check_gpu(Outcome(facts={"devices": []}, error=error))
    assert result.status == "warn"
    assert result.found.startswith(f"driver {driver}, Tesla V100, but torch cannot use it")
    assert result.fix.startswith(fix)


def test_a_gpu_may_be_hidden(nvidia_smi, monkeypatch):
    nvidia_smi("echo '570.86.15, NVIDIA H200'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = check_gpu(Outcome(facts={"devices": []}))
    assert (result.status, result.found) == ("ok", "hidden by CUDA_VISIBLE_DEVICES: everything runs on the CPU")
