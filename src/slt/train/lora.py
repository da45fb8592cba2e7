"""Low-rank adapters on any layer with a matrix ``weight``, fairseq2's included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from slt.core.errors import UserError

ORIGINAL = "parametrizations.weight.original"


class LowRank(nn.Module):
    """``W + alpha / rank · B A``; B begins at zero, so at first nothing changes.

    Reference: Hu et al. 2021, arXiv 2106.09685.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.empty(rank, n_in, device=weight.device))
        self.b = nn.Parameter(torch.zeros(n_out, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) → (out, in)."""
        return weight + (self.scale * (self.b @ self.a)).to(weight.dtype)


def add_lora(
    module: nn.Module,
    layers: Sequence[str],
    *,
    rank: int,
    alpha: float,
    stored_name: Callable[[str], str] = lambda name: name,
) -> int:
    """Freeze a module and add adapters to the layers whose names end so.

    Args:
        module: changed in place.
        layers: last parts of the layers' names.
        rank: of the adapters.
        alpha: their sum is scaled by alpha / rank.
        stored_name: the module's name of a weight → the name that ``layers`` means.

    Returns:
        how many layers got one.

    Raises:
        UserError: none is called so.
    """
    module.requires_grad_(False)
    weighted = {
        name: part for name, part in module.named_modules() if isinstance(getattr(part, "weight", None), Tensor)
    }
    found = [part for name, part in weighted.items() if stored_name(f"{name}.weight").split(".")[-2] in layers]
    found = [part for part in found if part.weight.ndim == 2]
    if not found:
        raise UserError(f"no layer of {type(module).__name__} is called {' or '.join(layers)}, to get an adapter")
    for part in found:
        parametrize.register_parametrization(part, "weight", LowRank(part.weight, rank, alpha))
        part.parametrizations.weight.original.requires_grad_(False)
    return len(found)


def merge_lora(module: nn.Module) -> None:
    """Make the adapters part of the weights, which then have their old names."""
    for part in list(module.modules()):
        if parametrize.is_parametrized(part, "weight"):
            with torch.no_grad():
                parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
