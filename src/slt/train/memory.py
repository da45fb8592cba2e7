"""Memory of a training step, computed without allocating it: the step runs on fake tensors, whose bytes are counted.

Counted are all tensors that torch's operators return, in blocks of 512 bytes as on a GPU. Not counted is what operators
use inside, what the allocator cannot use between blocks, and the context of CUDA: half a gigabyte or more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from slt.train.loader import Batch
from slt.train.module import Training, total_loss

BLOCK = 512  # bytes that CUDA allocates at least, and multiples of which it allocates
DEPENDS_ON_VALUES = (DynamicOutputShapeException, DataDependentOutputException, UnsupportedOperatorException)
ADAMW_COPIES = 1  # of the trained weights, that AdamW makes on a GPU while it updates all of them at once


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that a training step takes.

    Attributes:
        weights: of all parts, frozen ones included.
        state: gradients, AdamW's averages, and the average of the weights where one is kept.
        peak: at the step's worst moment, weights and state included.
    """

    weights: int
    state: int
    peak: int


def step_memory(module: Training, batch: Batch) -> StepMemory | None:
    """Compute the memory of one step of a module, wherever its weights are.

    Args:
        module: in training mode; its weights are replaced while this runs.
        batch: the largest.

    Returns:
        None where what a step takes depends on values, as it does with decoders of transformers and from videos.
    """
    n_trained = sum(group.n_numbers for group in module.groups)
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # where the encoder is to be compiled
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(fake_weights(module))
        stack.enter_context(_real_tokens(module.decoder))
        weights = sum(_in_blocks(weight.nbytes) for weight in _distinct(module))
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        stack.enter_context(fused_attention())
        live = stack.enter_context(LiveBytes())
        for weight in trained:
            weight.grad = torch.zeros_like(weight)  # Lightning drops the last step's only after the forward pass
        try:
            _step(module, _fake_batch(batch))
        except DEPENDS_ON_VALUES:
            return None
        kept = sum(_in_blocks(weight.nbytes) for weight in trained)  # as large as the gradients
        activations = live.peak - kept
    state = (4 if module.recipe.optim.ema else 3) * kept
    return StepMemory(
        weights=weights, state=state, peak=weights + state + max(activations, 4 * ADAMW_COPIES * n_trained)
    )


def _step(module: Training, batch: Batch) -> None:
    """Run forward and backward pass as the trainer would."""
    with module.arithmetic(batch.targets.device):
        _, terms = module.terms(batch)
        loss = total_loss(terms)
    loss.backward()


@contextmanager
def fake_weights(module: nn.Module) -> Iterator[None]:
    """Replace all weights and buffers by fakes of the same kind while the block runs."""
    before = replace_weights(module, _fake)
    try:
        yield
    finally:
        for table, name, value in before:
            table[name] = value


def replace_weights(
    module: nn.Module, make: Callable[[Tensor], Tensor]
) -> list[tuple[dict[str, Tensor | None], str, Tensor]]:
    """Put what ``make`` returns in the place of every weight and buffer; what is shared stays shared.

    Returns:
        what was where: (a module's table, name, tensor).
    """
    made: dict[int, Tensor] = {}
    before: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
    for part in module.modules():
        tables: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for table in tables:
            for name, value in table.items():
                if value is None:
                    continue
                if id(value) not in made:
                    made[id(value)] = make(value)
                    if isinstance(value, nn.Parameter):
                        made[id(value)] = nn.Parameter(made[id(value)], requires_grad=value.requires_grad)
                before.append((table, name, value))
                table[name] = made[id(value)]
    return before


@contextmanager
def _real_tokens(decoder: Any) -> Iterator[None]:
    """Let a text decoder's tokenizer work on real memory, which compiled ones write to, while the block runs."""
    tokens = getattr(decoder, "tokens", None)
    if tokens is None:
        yield
        return

    def rows(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return type(tokens).rows(tokens, *args, **kwargs)

    tokens.rows = rows
    try:
        yield
    finally:
        del tokens.rows


def _fake_batch(batch: Batch) -> Batch:
    features = batch.features
    if features is not None:
        visual = features.visual and replace(features.visual, features=_fake(features.visual.features))
        features = replace(features, features=_fake(features.features), visual=visual)
    return replace(batch, targets=_fake(batch.targets), features=features)


def _fake(tensor: Tensor) -> Tensor:
    """Return a fake of a tensor on the CPU, wherever it is; fakes of GPUs need one."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")


def _distinct(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]  # each names what is shared once


def _in_blocks(n_bytes: int) -> int:
    return -(-n_bytes // BLOCK) * BLOCK


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that operators return, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype == torch.bool:
            return False  # transformers asks whether a mask is needed; it is
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in tree_leaves(found):
                if isinstance(tensor, Tensor):
                    self._count(tensor)
        return found

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        n_bytes = _in_blocks(storage.nbytes())
        self.live += n_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, n_bytes)

    def _free(self, n_bytes: int) -> None:
        self.live -= n_bytes


@contextmanager
def fused_attention() -> Iterator[None]:
    """Let attention take the form that GPUs take with a mask, which fake tensors of their own accord do not.

    The name is replaced, for what is recomputed in the backward pass runs outside of modes; a mode catches those who
    imported the function before.
    """
    original = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = _fused  # type: ignore[assignment]
    try:
        with _Caught(original):
            yield
    finally:
        F.scaled_dot_product_attention = original


class _Caught(TorchFunctionMode):
    """Calls ``_fused`` in place of a function."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self._original = original

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return (_fused if func is self._original else func)(*args, **(kwargs or {}))


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Tensor:
    """Return what ``scaled_dot_product_attention`` does, with nothing in memory but that and a number per query."""
    if torch.is_autocast_enabled(query.device.type):
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = (tensor.to(dtype) for tensor in (query, key, value))
        attn_mask = attn_mask.to(dtype) if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
    fused = torch.ops.aten._scaled_dot_product_efficient_attention
    found: Tensor = fused(query, key, value, attn_mask, torch.is_grad_enabled(), 0.0, is_causal, scale=scale)[0]
    return found
