"""However a CPU multiplies, the numbers are those of plain float32 products of the same weights."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from slt.models import cpu_kernels
from slt.models.cpu_kernels import cpu_linear, use_cpu_kernels


class Small(nn.Module):
    """A table, a norm, a product."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 6)
        self.norm = nn.LayerNorm(6)
        self.out = nn.Linear(6, 5)

    def forward(self, indices):
        return self.out(self.norm(self.table(indices)))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("at_once", "worth_it"), [(2**22, 2**22), (70, 0), (1, 0)])
def test_a_product_is_the_plain_one(dtype, bias, at_once, worth_it, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "WEIGHTS_AT_ONCE", at_once)
    monkeypatch.setattr(cpu_kernels, "_MIN_MULTIPLICATIONS", worth_it)
    x, weight = torch.randn(2, 3, 33), torch.randn(17, 33).to(dtype)
    b = torch.randn(17) if bias else None
    torch.testing.assert_close(cpu_linear(x, weight, b), F.linear(x, weight.float(), b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_without_instructions_only_the_weights_are_rounded(dtype, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: asked == torch.float32)
    full = Small().eval()
    half = copy.deepcopy(full).to(dtype)
    for rounded, exact in zip(half.parameters(), full.parameters(), strict=True):
        exact.data = rounded.data.float()
    use_cpu_kernels(half)
    indices = torch.tensor([[0, 3], [6, 1]])
    with torch.inference_mode():
        torch.testing.assert_close(half(indices), full(indices), rtol=1e-6, atol=1e-6)
    assert half.out.weight.dtype == half.table.weight.dtype == dtype
    assert half.norm.weight.dtype == half.out.bias.dtype == torch.float32


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_torchs_own_attention_computes_in_one_dtype(dtype, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: asked == torch.float32)
    half = nn.Sequential(nn.MultiheadAttention(8, 2, batch_first=True)).eval().to(dtype)
    full = copy.deepcopy(half).float()
    use_cpu_kernels(half)
    query, others = torch.randn(2, 1, 8), torch.randn(2, 5, 8)
    torch.testing.assert_close(half[0](query, others, others), full[0](query, others, others), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_with_instructions_of_its_own_half_precision_is_left_alone(dtype, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "is_native_dtype", lambda asked: True)
    model = Small().to(dtype)
    use_cpu_kernels(model)
    assert {value.dtype for value in model.parameters()} == {dtype}
    assert type(model.out) is nn.Linear


def test_gradients_and_autocast_go_the_usual_way(monkeypatch):
    monkeypatch.setattr(cpu_kernels, "_MIN_MULTIPLICATIONS", 0)
    model = Small()
    expected = model(torch.tensor([1]))
    use_cpu_kernels(model)
    found = model(torch.tensor([1]))
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert model.out.weight.grad.any()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(torch.tensor([1])).dtype == torch.bfloat16


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_settled_model_can_be_copied_and_the_copy_is_its_own(duplicate):
    model = Small()
    use_cpu_kernels(model)
    twin = duplicate(model)
    with torch.no_grad():
        model.out.weight.zero_()
        assert twin(torch.tensor([1])).ne(twin.out.bias).any()


def test_every_dtype_has_an_answer():
    assert cpu_kernels.is_native_dtype(torch.float32)
    assert {type(cpu_kernels.is_native_dtype(dtype)) for dtype in (torch.bfloat16, torch.float16)} == {bool}
