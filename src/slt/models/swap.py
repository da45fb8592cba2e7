"""Replace a module by another with the same parameters and another computation."""

from __future__ import annotations

from typing import Any

from torch import nn


class SwappedModule(nn.Module):
    """Has the parts of the module whose place it takes, so that names and weights stay; a subclass has ``forward``.

    Args:
        original: that module, without weights of its own beside those of its parts.
    """

    _original: Any

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        for name, part in original.named_children():
            self.add_module(name, part)
        # Past torch's own bookkeeping, which would name the parts a second time.
        self.__dict__["_original"] = original
        self.training = original.training

    @property
    def original(self) -> Any:
        """The module whose place this is, with the same parts and in the same mode."""
        self._original._modules.update(self._modules)
        self._original.training = self.training
        return self._original
