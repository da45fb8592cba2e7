"""Replace a module by another with the same parameters and another computation."""

from __future__ import annotations

from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Has the parts of the module whose place it takes, so that names and weights stay; a subclass has ``forward``.

    Args:
        usual: that module, without weights of its own beside those of its parts.
    """

    _usual: Any

    def __init__(self, usual: nn.Module) -> None:
        super().__init__()
        for name, part in usual.named_children():
            self.add_module(name, part)
        # Past torch's own bookkeeping, which would name the parts a second time.
        self.__dict__["_usual"] = usual
        self.training = usual.training

    @property
    def usual(self) -> Any:
        """The module whose place this is, with the same parts and in the same mode."""
        self._usual._modules.update(self._modules)
        self._usual.training = self.training
        return self._usual
