"""Low-rank adapters: in the weight of any layer with a matrix, fairseq2's included, or beside a linear layer.

Reference:
    Hu et al. 2021, arXiv 2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from slt.core.errors import UserError

ORIGINAL = "parametrizations.weight.original"


class LowRank(nn.Module):
    """``W + alpha / rank · B A``; B begins at zero, so at first nothing changes."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.a, self.b = _factors(weight, rank)

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) → (out, in)."""
        return weight + (self.scale * (self.b @ self.a)).to(weight.dtype)


class AdaptedLinear(nn.Module):
    """A frozen linear layer with an adapter beside it: ``W x + b + alpha / rank · B (A x)``.

    Beside the layer, an adapter needs neither W's gradient nor a copy of W, and half precision does not round it away.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = alpha / rank
        self.lora_a, self.lora_b = _factors(linear.weight, rank)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        return F.linear(x, self.weight, self.bias) + self.scale * F.linear(F.linear(x, self.lora_a), self.lora_b)

    def merged(self) -> nn.Linear:
        """Return a linear layer that computes the same, in float32."""
        n_out, n_in = self.weight.shape
        linear = nn.Linear(n_in, n_out, bias=self.bias is not None, device="meta")
        whole = self.weight.float() + self.scale * (self.lora_b @ self.lora_a)
        linear.weight, linear.bias = nn.Parameter(whole), self.bias
        return linear


def _factors(weight: Tensor, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Return A (rank, in), random, and B (out, rank), zero, in float32."""
    n_out, n_in = weight.shape
    a = nn.Parameter(torch.empty(rank, n_in, device=weight.device))
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))
    return a, nn.Parameter(torch.zeros(n_out, rank, device=weight.device))


def add_lora(
    module: nn.Module,
    layers: Sequence[str],
    *,
    rank: int,
    alpha: float,
    stored_name: Callable[[str], str] = lambda name: name,
) -> int:
    """Freeze a module and add adapters to the weights of the layers whose names end so.

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
    _check_found(found, module, layers)
    for part in found:
        parametrize.register_parametrization(part, "weight", LowRank(part.weight, rank, alpha))
        part.parametrizations.weight.original.requires_grad_(False)
    return len(found)


def add_adapters(module: nn.Module, layers: Sequence[str], *, rank: int, alpha: float) -> int:
    """Freeze a module and put adapters beside the linear layers of torch whose names end so; as ``add_lora``."""
    module.requires_grad_(False)
    found = [
        (part, name)
        for part in module.modules()
        for name, child in part.named_children()
        if name in layers and isinstance(child, nn.Linear)
    ]
    _check_found(found, module, layers)
    for part, name in found:
        setattr(part, name, AdaptedLinear(getattr(part, name), rank, alpha))
    return len(found)


def merge_lora(module: nn.Module) -> None:
    """Make the adapters part of the weights, which then have their old names, in float32."""
    with torch.no_grad():
        for part in list(module.modules()):
            if parametrize.is_parametrized(part, "weight"):
                original = part.get_parameter(ORIGINAL)
                original.data = original.float()
                parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
            for name, child in list(part.named_children()):
                if isinstance(child, AdaptedLinear):
                    setattr(part, name, child.merged())


def hold_in_half(module: nn.Module, dtype: torch.dtype) -> None:
    """Hold the matrices of a module that are not trained in ``dtype``, as autocast would round them at every step.

    What a module lists as ``FLOAT32_LAYERS`` stays in float32 where ``dtype`` is float16; vectors stay as they are.
    """
    apart: Sequence[str] = getattr(module, "FLOAT32_LAYERS", ()) if dtype == torch.float16 else ()
    for name, weight in module.named_parameters():
        is_matrix = weight.ndim > 1 and weight.is_floating_point()
        if is_matrix and not weight.requires_grad and not set(name.split(".")) & set(apart):
            weight.data = weight.data.to(dtype)


def _check_found(found: Sequence[object], module: nn.Module, layers: Sequence[str]) -> None:
    if not found:
        raise UserError(f"no layer of {type(module).__name__} is called {' or '.join(layers)}, to get an adapter")
