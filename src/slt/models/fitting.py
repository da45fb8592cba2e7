"""Build models without initialising them, and load weights strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from slt.core.errors import SltError, UserError
from slt.models.checkpoint import NAMED_AT_MOST, read_weights, some

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class ModelKind(Protocol):
    """What a model class says about files of its weights.

    Attributes:
        Config: the class of its configuration.
        OLD_NAMES: beginnings of weight names in old files, and what they are called now.
        UNUSED_WEIGHTS: patterns of weights that files may bring although the model has no use for them.
    """

    Config: ClassVar[type]
    OLD_NAMES: ClassVar[Mapping[str, str]]
    UNUSED_WEIGHTS: ClassVar[Sequence[str]]


def load_model(kind: type[AnyModule], config: Any, path: Path) -> AnyModule:
    """Make a model, a ``ModelKind``, with the weights of a file; never at random first; in evaluation mode.

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
    """Make what ``load_model`` makes of weights that were read, in a dtype; those that have it are not copied."""
    says = cast(type[ModelKind], kind)
    model = build_empty(lambda: kind(config)).to(dtype)
    load_strict(model, rename(weights, says.OLD_NAMES), unused=says.UNUSED_WEIGHTS, source=source)
    return model.eval()


def rename(weights: Mapping[str, Tensor], old_names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the weights with every name that begins with a key of ``old_names`` beginning with its value."""

    def modern(name: str) -> str:
        old = next((old for old in old_names if name.startswith(old)), "")
        return old_names.get(old, "") + name.removeprefix(old)

    return {modern(name): value for name, value in weights.items()}


def build_empty(factory: Callable[[], AnyModule]) -> AnyModule:
    """Call ``factory`` so that its parameters have shapes but no values: to be given some by ``load_strict``."""
    with torch.device("meta"):
        return factory()


def load_strict(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    optional: Iterable[str] = (),
    unused: Iterable[str] = (),
    source: Path | str = "the weights",
) -> None:
    """Put weights into a module, in its dtype, as they are and not as copies; all of them, and no others.

    Args:
        module: may be fresh from ``build_empty``.
        weights: by name; of tensors that the module uses under several names, one name is enough.
        optional: patterns (``norm.*``) of names that keep the value they have, if they have one.
        unused: patterns of names to pass over.
        source: what the weights are called in an error.

    Raises:
        UserError: the weights are not those that ``fit`` would return.
        SltError: the module has buffers that no file holds and that were built empty.
    """
    fitting = fit(module, weights, optional=optional, unused=unused, source=source)
    own = module.state_dict(keep_vars=True)
    by_tensor = {id(own[name]): value.to(own[name].dtype) for name, value in fitting.items()}
    given = {name: by_tensor[id(value)] for name, value in own.items() if id(value) in by_tensor}
    module.load_state_dict(given, strict=False, assign=True)
    _share_again(module, own)
    if empty := [name for name, value in chain(module.named_parameters(), module.named_buffers()) if value.is_meta]:
        raise SltError(f"{type(module).__name__} cannot be built empty: no file has values for {some(empty)}")


def fit(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    optional: Iterable[str] = (),
    unused: Iterable[str] = (),
    source: Path | str = "the weights",
    name_all: bool = False,
) -> dict[str, Tensor]:
    """Return what a module takes of ``weights``, as it is, each tensor under the first of its names.

    Args:
        module: may be fresh from ``build_empty``; it stays as it is.
        weights: as for ``load_strict``, and so are the other arguments.
        optional: see there.
        unused: see there.
        source: see there.
        name_all: let an error give every name, and not only the first few of a kind.

    Raises:
        UserError: names are missing, unexpected, of another shape or type, or disagree although the module uses them
            for one tensor; every kind is reported with its count.
    """
    own = module.state_dict(keep_vars=True)
    optional = [name for name in own if _matches(name, optional)]
    if mistakes := _mistakes(own, weights, optional, unused):
        at_most = len(own) + len(weights) if name_all else NAMED_AT_MOST
        told = [f"{len(names)} {what} ({some(names, at_most)})" for what, names in mistakes.items()]
        raise UserError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(told)}",
            fix="give the file and the configuration of one and the same model",
        )
    first: dict[int, str] = {}
    for name in own:
        if name in weights:
            first.setdefault(id(own[name]), name)
    return {name: weights[name] for name in first.values()}


def _mistakes(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], optional: Sequence[str], unused: Iterable[str]
) -> dict[str, list[str]]:
    """Return the names that keep ``weights`` from being those of a module with the state ``own``, by kind."""
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
        "other than under another name": _at_odds(own, weights),
    }
    return {what: names for what, names in found.items() if names}


def _at_odds(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names whose weights differ from those of an earlier name of the same tensor."""
    first: dict[int, Tensor] = {}
    at_odds = []
    for name in own:
        if name not in weights:
            continue
        found, earlier = weights[name], first.setdefault(id(own[name]), weights[name])
        # Most files store what is shared once, so there is nothing to compare.
        if found.shape == earlier.shape and found.data_ptr() != earlier.data_ptr() and not torch.equal(found, earlier):
            at_odds.append(name)
    return at_odds


def _share_again(module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Let names of ``module`` that meant one parameter ``before`` loading do so again; assigning parts them."""
    after = module.state_dict(keep_vars=True)
    keeper: dict[int, str] = {}
    for name, old in before.items():
        if (first := keeper.setdefault(id(old), name)) != name:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, after[first])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
