"""The benchmark of memory computes bytes that can be worked out by hand."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.memory import batch_of, forward
from slt.train.memory import BLOCK


def test_a_call_takes_its_weights_and_its_results():
    layers = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    for dtype, size in ((torch.float32, 4), (torch.bfloat16, 2)):
        held, peak = forward(layers, lambda dtype: layers(torch.empty(16, 64, dtype=dtype)), dtype)
        assert held == 2 * 64 * 64 * size
        assert peak == held + 3 * 16 * 64 * size  # input, and the results of both layers
        assert (16 * 64 * size) % BLOCK == 0


def test_a_batch_has_the_tokens_that_were_asked_for():
    batch = batch_of(2, 5, 8, 16)
    assert batch.targets.shape == (2, 16)
    assert batch.features.features.shape == (2, 5, 768)
    assert batch.texts == ("a a a a a",) * 2
