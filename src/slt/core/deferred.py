"""Import a library without the libraries that it names and that are not used here: they are imported on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Give deferred modules in place of ``names``, and of all below them, to whatever is imported meanwhile.

    What is taken from a deferred module is a stand-in: afterwards, the real module is imported when the stand-in is
    called or one of its attributes is asked for. Meanwhile that is an ImportError, as if the library were not there.
    Modules that were imported before are given as they are.

    Args:
        names: modules, dotted or not.
    """
    finder = _Finder([name for name in names if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _DeferredModule)]:
            del sys.modules[name]
            parent, _, own = name.rpartition(".")
            if isinstance(vars(sys.modules.get(parent, finder)).get(own), _DeferredModule):
                delattr(sys.modules[parent], own)


class _Finder(MetaPathFinder, Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        is_ours = any(name == own or name.startswith(f"{own}.") for own in self._names)
        return ModuleSpec(name, self, is_package=True) if is_ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _DeferredModule(ModuleType):
    """Stands for a module; what is taken from it while it does is a stand-in, afterwards the real thing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is not self:  # kept by an `import name`
            return getattr(importlib.import_module(self.__name__), name)
        return _StandIn(name, (), {"__module__": self.__name__})


class _StandIn(type):
    """A class that stands for anything a module may define, and can be written in annotations."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real(cls)(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(cls), name)

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _real(cls))


def _real(stand_in: type) -> Any:
    if isinstance(sys.modules.get(stand_in.__module__), _DeferredModule):
        raise ImportError(f"{stand_in.__module__} is not imported now", name=stand_in.__module__)
    return getattr(importlib.import_module(stand_in.__module__), stand_in.__name__)
