"""Devices by name, and what differs between a CPU and an accelerator."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from slt.core import device as devices
from slt.core.device import (
    choose_device,
    computes_bfloat16,
    empty_caches,
    free_bytes,
    is_accelerator,
    peak_bytes,
    send,
    send_joined,
    synchronise,
)
from slt.core.errors import UserError, is_out_of_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tpu", "unknown device 'tpu'; expected auto, cpu, cuda or cuda:N"),
        ("cuda:x", "unknown device 'cuda:x'"),
        ("cuda:99", "cuda:99 was asked for, but torch sees .* GPUs here"),
    ],
)
def test_devices_that_are_not_there_are_refused(name, said):
    with pytest.raises(UserError, match=said):
        choose_device(name)


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda")])
def test_a_gpu_is_used_when_there_is_one(gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    assert choose_device("auto") == torch.device(device)


def test_a_gpu_may_be_chosen_by_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="torch sees 2 GPUs"):
        choose_device("cuda:2")


def test_on_a_cpu_nothing_is_copied_and_nothing_waited_for():
    rows = torch.ones(3)
    assert send(rows, CPU) is rows
    assert free_bytes(CPU) is None
    assert peak_bytes(CPU) is None
    synchronise(CPU)
    assert not is_accelerator("cpu")
    assert is_accelerator("cuda:1")
    assert send(rows, torch.device("meta")).is_meta


def test_arrays_are_joined_in_their_own_dtype():
    joined = send_joined([np.full((2, 3), 7, np.uint8), np.full((1, 3), 9, np.uint8)], CPU)
    assert joined.dtype == torch.uint8
    assert joined[:, 0].tolist() == [7, 7, 9]


def test_free_memory_counts_what_torch_keeps_for_later_tensors(monkeypatch):
    card = SimpleNamespace(
        mem_get_info=lambda _: (100, 1000),
        memory_reserved=lambda _: 50,
        memory_allocated=lambda _: 20,
        max_memory_allocated=lambda _: 40,
    )
    monkeypatch.setattr(devices, "_module", lambda _: card)
    assert free_bytes(torch.device("cuda")) == 130
    assert peak_bytes(torch.device("cuda")) == 40


def test_only_accelerators_that_are_there_return_memory(monkeypatch):
    emptied: list[str] = []
    cards = {
        name: SimpleNamespace(
            is_available=lambda there=there: there, empty_cache=lambda name=name: emptied.append(name)
        )
        for name, there in (("absent", False), ("there", True))
    }
    monkeypatch.setattr(devices, "ACCELERATORS", list(cards))
    monkeypatch.setattr(devices, "_module", cards.__getitem__)
    empty_caches()
    assert emptied == ["there"]
    assert devices.accelerator() == "there"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("another"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_memory_that_ran_out_is_recognised(error, answer):
    assert is_out_of_memory(error) is answer


def test_gpus_of_before_2020_have_no_bfloat16(monkeypatch):
    for capability, has in (((7, 0), False), ((7, 5), False), ((8, 0), True), ((12, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert computes_bfloat16(torch.device("cuda")) is has
    assert computes_bfloat16(CPU)
