"""What stands in for a module has its names and weights, and can hand it back."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

from slt.models.swap import SwappedModule


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(2, 2)

    def forward(self, x):
        return 2 * self.inside(x)


class Thrice(SwappedModule):
    def forward(self, x):
        return 3 * self.inside(x) if not self.training else self.original(x)


def test_names_and_weights_stay():
    original = Twice()
    names = list(original.state_dict())
    standing = Thrice(original)
    assert list(standing.state_dict()) == names
    assert [name for name, _ in standing.named_modules()] == ["", "inside"]
    x = torch.ones(1, 2)
    assert torch.equal(standing(x), original(x))
    torch.testing.assert_close(standing.eval()(x), 1.5 * original(x))
    assert not standing.original.training


def test_the_usual_module_has_the_parts_that_are_there_now():
    standing = Thrice(Twice())
    standing.inside = nn.Identity()
    assert standing.original(torch.ones(1)).tolist() == [2]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_its_own(duplicate):
    standing = Thrice(Twice())
    twin = duplicate(standing)
    with torch.no_grad():
        standing.inside.weight.zero_()
    assert twin.inside.weight.any()
    assert twin.original.inside is twin.inside


def test_it_leaves_memory_with_its_last_user():
    gc.disable()
    try:
        standing = Thrice(Twice())
        seen = weakref.ref(standing.original)
        del standing
        assert seen() is None
    finally:
        gc.enable()
