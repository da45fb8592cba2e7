"""Replace a module by another with the same parameters and another computation."""

from __future__ import annotations

from typing import Any

from torch import nn


class SwappedModule(nn.Module):
    """Base of modules that replace another one and share its submodules, hence names and weights.

    Args:
        original: the replaced module; all its parameters must be in submodules.
    """

    _original: Any

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        for name, part in original.named_children():
            self.add_module(name, part)
        # Not through torch's attribute registration, which would register the submodules twice.
        self.__dict__["_original"] = original
        self.training = original.training

    @property
    def original(self) -> Any:
        """The replaced module, with the same submodules and mode."""
        self._original._modules.update(self._modules)
        self._original.training = self.training
        return self._original
