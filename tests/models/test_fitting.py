"""Weights are fitted without remainder."""

import pytest
import torch
from torch import nn

from slt.core.errors import SltError, UserError
from slt.models.fitting import build_empty, fit, load_model, load_strict, rename


class Tied(nn.Module):
    """Two layers that share one table, as a decoder's input and output do."""

    def __init__(self, width=3):
        super().__init__()
        self.first = nn.Linear(width, width, bias=False)
        self.second = nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.counter = nn.Parameter(torch.zeros(1), requires_grad=False)


class Kind(nn.Linear):
    Config = int
    OLD_NAMES = {"old_": ""}  # noqa: RUF012
    UNUSED_WEIGHTS = ("head.*",)

    def __init__(self, config):
        super().__init__(config, config)


def test_rename_changes_beginnings_only():
    names = rename({"old.a": torch.ones(1), "b.old.c": torch.ones(1)}, {"old.": "new.x."})
    assert list(names) == ["new.x.a", "b.old.c"]


def test_module_built_empty_takes_the_weights_as_they_are():
    module = build_empty(lambda: nn.Linear(3, 2))
    assert module.weight.is_meta
    weights = {"weight": torch.randn(2, 3), "bias": torch.randn(2)}
    load_strict(module, weights)
    assert module.weight.data_ptr() == weights["weight"].data_ptr()
    assert module.weight.requires_grad


def test_weights_come_in_the_modules_dtype():
    module = build_empty(lambda: nn.Linear(3, 2))
    load_strict(module, {"weight": torch.randn(2, 3).half(), "bias": torch.randn(2).double()})
    assert {value.dtype for value in module.parameters()} == {torch.float32}


def test_shared_parameters_stay_shared_and_need_one_name_only():
    module = build_empty(Tied)
    table = torch.randn(3, 3)
    load_strict(module, {"second.weight": table, "second.bias": torch.zeros(3), "counter": torch.ones(1)})
    assert module.first.weight is module.second.weight
    assert torch.equal(module.first.weight, table)
    assert not module.counter.requires_grad


def test_every_mistake_is_told_at_once_and_nothing_is_loaded():
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(UserError) as caught:
        load_strict(module, {"weight": torch.ones(3, 2), "extra": torch.ones(1)}, source="w.pth")
    assert caught.value.message == (
        "w.pth does not fit Linear: 1 missing (bias); 1 unexpected (extra);"
        " 1 of another shape (weight (3, 2) for (2, 3))"
    )
    assert torch.equal(module.weight, before)


def test_long_lists_are_shortened_with_their_count():
    with pytest.raises(UserError, match=r"9 unexpected \(x0, x1, x2, x3, x4 and 4 more\)"):
        load_strict(nn.Identity(), {f"x{i}": torch.ones(1) for i in range(9)})


def test_numbers_of_another_type_are_refused():
    with pytest.raises(UserError, match=r"1 of another type \(weight torch.int8 for torch.float32\)"):
        load_strict(nn.Linear(1, 1, bias=False), {"weight": torch.ones(1, 1, dtype=torch.int8)})


def test_patterns_let_names_be_absent_or_extra():
    module = nn.Linear(3, 2)
    before = module.bias.clone()
    weights = {"weight": torch.ones(2, 3), "head.weight": torch.ones(1)}
    load_strict(module, weights, optional=["bi*"], unused=["head.*"])
    assert torch.equal(module.bias, before)
    assert module.weight.eq(1).all()


def test_nothing_may_be_absent_of_a_module_built_empty():
    with pytest.raises(UserError, match=r"1 missing \(bias\)"):
        load_strict(build_empty(lambda: nn.Linear(3, 2)), {"weight": torch.ones(2, 3)}, optional=["bias"])


def test_buffer_that_no_file_holds_cannot_be_built_empty():
    class Positions(nn.Linear):
        def __init__(self):
            super().__init__(1, 1, bias=False)
            self.register_buffer("steps", torch.arange(3), persistent=False)

    with pytest.raises(SltError, match="Positions cannot be built empty: no file has values for steps"):
        load_strict(build_empty(Positions), {"weight": torch.ones(1, 1)})


def test_model_is_loaded_by_its_class(tmp_path):
    weights = {"old_weight": torch.ones(2, 2), "bias": torch.ones(2), "head.x": torch.ones(1)}
    torch.save({"model": weights}, tmp_path / "w.pth")
    model = load_model(Kind, 2, tmp_path / "w.pth")
    assert not model.training
    assert model.weight.eq(1).all()
    with pytest.raises(UserError, match=r"w.pth does not fit Kind: 2 of another shape"):
        load_model(Kind, 3, tmp_path / "w.pth")


def test_fitting_weights_are_those_of_the_file_each_once():
    table = torch.randn(3, 3).half()
    weights = {"first.weight": table, "second.weight": table.clone(), "head.x": torch.ones(1)}
    weights |= {"second.bias": torch.zeros(3), "counter": torch.ones(1)}
    module = build_empty(Tied)
    fitting = fit(module, weights, unused=["head.*"])
    assert set(fitting) == {"first.weight", "second.bias", "counter"}
    assert all(value is weights[name] for name, value in fitting.items())
    assert module.counter.is_meta


def test_names_of_one_tensor_must_not_disagree():
    table = torch.randn(3, 3)
    weights = {"first.weight": table, "second.weight": table + 1}
    weights |= {"second.bias": torch.zeros(3), "counter": torch.ones(1)}
    with pytest.raises(UserError, match=r"Tied: 1 unequal to another name of the same tensor \(second.weight\)"):
        load_strict(Tied(), weights)


def test_every_name_is_given_to_those_who_ask():
    with pytest.raises(UserError, match=r"9 unexpected \(x0, x1, x2, x3, x4, x5, x6, x7, x8\)"):
        fit(nn.Identity(), {f"x{i}": torch.ones(1) for i in range(9)}, name_all=True)
