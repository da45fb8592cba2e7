"""Build models without initialising them, and load weights strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from slt.core.errors import SltError, UserError
from slt.models.checkpoint import MAX_NAMES, read_weights, shorten

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class ModelKind(Protocol):
    """Class attributes of a model class that describe its weight files.

    Attributes:
        Config: class of its configuration.
        OLD_NAMES: prefix of weight names in old files → current prefix.
        UNUSED_WEIGHTS: patterns of weights that files may contain but the model does not use.
    """

    Config: ClassVar[type]
    OLD_NAMES: ClassVar[Mapping[str, str]]
    UNUSED_WEIGHTS: ClassVar[Sequence[str]]


def load_model(kind: type[AnyModule], config: Any, path: Path) -> AnyModule:
    """Build a model, a ``ModelKind``, with the weights of a file, without random initialisation; in evaluation mode.

    Raises:
        UserError: the file cannot be read, or its weights are those of another model.
    """
    return build_model(kind, config, read_weights(path), source=path)


def build_model(
    kind: type[AnyModule],
    config: Any,
    weights: Mapping[str, Tensor],
    *,
    source: Path | str,
    dtype: torch.dtype = torch.float32,
) -> AnyModule:
    """Build a model as ``load_model`` does, from weights in memory; weights that have ``dtype`` are not copied."""
    says = cast(type[ModelKind], kind)
    model = build_empty(lambda: kind(config)).to(dtype)
    load_strict(model, rename(weights, says.OLD_NAMES), unused=says.UNUSED_WEIGHTS, source=source)
    return model.eval()


def rename(weights: Mapping[str, Tensor], old_names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the weights with prefixes of their names replaced by ``old_names``, old → new."""

    def modern(name: str) -> str:
        old = next((old for old in old_names if name.startswith(old)), "")
        return old_names.get(old, "") + name.removeprefix(old)

    return {modern(name): value for name, value in weights.items()}


def build_empty(factory: Callable[[], AnyModule]) -> AnyModule:
    """Call ``factory`` on the meta device: parameters have shapes but no values until ``load_strict``."""
    with empty_weights():
        return factory()


@contextmanager
def empty_weights() -> Iterator[None]:
    """Create parameters on the meta device, and draw no random numbers for them.

    There are none to be drawn there, and asking for them makes torch import its compiler.
    """
    with torch.device("meta"), _NoRandomNumbers():
        yield


class _NoRandomNumbers(TorchFunctionMode):
    """Functions that draw random numbers leave their tensor as it is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return next(iter((*args, *kwargs.values()))) if func in _DRAWING else func(*args, **kwargs)


_DRAWING = {
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "erfinv_", "clamp_")),
    *(getattr(nn.init, f"{name}_") for name in ("normal", "uniform", "kaiming_uniform")),
}


def load_strict(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    optional: Iterable[str] = (),
    unused: Iterable[str] = (),
    source: Path | str = "the weights",
    stored_name: Callable[[str], str] | None = None,
) -> None:
    """Load weights into a module, in its dtype, without copying; names must match exactly.

    Args:
        module: may come from ``build_empty``.
        weights: name → tensor; one name is enough for a tensor shared by several.
        optional: patterns (``norm.*``) of names that may be missing and keep their value, if they have one.
        unused: patterns of names to ignore.
        source: name of the weights in errors.
        stored_name: the module's name of a weight → its name in ``weights``; None: they are equal.

    Raises:
        UserError: as for ``fit``.
        SltError: the module has buffers without values that are not in weight files.
    """
    fitting = fit(module, weights, optional=optional, unused=unused, source=source, stored_name=stored_name)
    own = module.state_dict(keep_vars=True)
    stored = _renamed(own, stored_name)
    by_tensor = {id(stored[name]): value.to(stored[name].dtype) for name, value in fitting.items()}
    given = {name: by_tensor[id(value)] for name, value in own.items() if id(value) in by_tensor}
    module.load_state_dict(given, strict=False, assign=True)
    _restore_sharing(module, own)
    if empty := [name for name, value in chain(module.named_parameters(), module.named_buffers()) if value.is_meta]:
        raise SltError(f"{type(module).__name__} cannot be built empty: no file has values for {shorten(empty)}")


def fit(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    optional: Iterable[str] = (),
    unused: Iterable[str] = (),
    source: Path | str = "the weights",
    name_all: bool = False,
    stored_name: Callable[[str], str] | None = None,
) -> dict[str, Tensor]:
    """Return the ``weights`` that a module uses, each tensor under the first of its names.

    Args:
        module: may come from ``build_empty``; not modified.
        weights: as for ``load_strict``.
        optional: likewise.
        unused: likewise.
        source: likewise.
        name_all: list every name in errors, not only the first few of each kind.
        stored_name: as for ``load_strict``.

    Raises:
        UserError: names are missing, unexpected, of another shape or type, or differ although they share one tensor;
            every kind is reported with its count.
    """
    own = _renamed(module.state_dict(keep_vars=True), stored_name)
    optional = [name for name in own if _matches(name, optional)]
    if mistakes := _mistakes(own, weights, optional, unused):
        at_most = len(own) + len(weights) if name_all else MAX_NAMES
        found = [f"{len(names)} {what} ({shorten(names, at_most)})" for what, names in mistakes.items()]
        raise UserError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(found)}",
            fix="give the file and the configuration of the same model",
        )
    first: dict[int, str] = {}
    for name in own:
        if name in weights:
            first.setdefault(id(own[name]), name)
    return {name: weights[name] for name in first.values()}


def _renamed(own: Mapping[str, Tensor], stored_name: Callable[[str], str] | None) -> dict[str, Tensor]:
    return {stored_name(name) if stored_name else name: value for name, value in own.items()}


def _mistakes(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], optional: Sequence[str], unused: Iterable[str]
) -> dict[str, list[str]]:
    """Return kind of mismatch → names, between ``weights`` and a module with the state ``own``."""
    filled = {id(own[name]) for name in own if name in weights}
    absent = [name for name, value in own.items() if id(value) not in filled]
    found = {
        "missing": [name for name in absent if own[name].is_meta or name not in optional],
        "unexpected": [name for name in weights if name not in own and not _matches(name, unused)],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} for {tuple(value.shape)}"
            for name, value in own.items()
            if name in weights and weights[name].shape != value.shape
        ],
        "of another type": [
            f"{name} {weights[name].dtype} for {value.dtype}"
            for name, value in own.items()
            if name in weights and weights[name].is_floating_point() != value.is_floating_point()
        ],
        "unequal to another name of the same tensor": _unequal(own, weights),
    }
    return {what: names for what, names in found.items() if names}


def _unequal(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names whose weights differ from those of an earlier name of the same tensor."""
    first: dict[int, Tensor] = {}
    unequal = []
    for name in own:
        if name not in weights:
            continue
        found, earlier = weights[name], first.setdefault(id(own[name]), weights[name])
        # Most files store shared tensors once, so there is nothing to compare.
        if found.shape == earlier.shape and found.data_ptr() != earlier.data_ptr() and not torch.equal(found, earlier):
            unequal.append(name)
    return unequal


def _restore_sharing(module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Share parameters again that were shared ``before`` loading; assigning separates them."""
    after = module.state_dict(keep_vars=True)
    first_of: dict[int, str] = {}
    for name, old in before.items():
        if (first := first_of.setdefault(id(old), name)) != name:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, after[first])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
