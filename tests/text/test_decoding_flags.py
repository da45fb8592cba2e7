from __future__ import annotations

import pytest
import torch
from torch import nn

from slt.text.decoding_flags import evaluation_mode, torch_defaults


def test_evaluating_gives_each_part_its_own_mode_back() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout())
    module[1].eval()

    with evaluation_mode(module):
        assert not any(part.training for part in module.modules())

    assert [part.training for part in module.modules()] == [True, True, False]


def test_made_on_puts_the_default_back() -> None:
    with torch_defaults("meta", torch.bfloat16):
        made = torch.empty(2)

    assert (made.device.type, made.dtype) == ("meta", torch.bfloat16)
    assert (torch.empty(2).device.type, torch.empty(2).dtype) == ("cpu", torch.float32)


def test_an_error_on_the_way_changes_nothing() -> None:
    module = nn.Dropout()
    with (
        pytest.raises(RuntimeError, match="on the way"),
        evaluation_mode(module),
        torch_defaults("meta", torch.bfloat16),
    ):
        raise RuntimeError("on the way")

    assert module.training
    assert torch.get_default_dtype() == torch.float32
