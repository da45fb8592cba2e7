"""Models in memory: loaded once, the least recently used unloaded when a budget is exceeded."""

from __future__ import annotations

import ctypes
import gc
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from slt.assets.store import Bundle, find_bundle
from slt.bundle.resolve import make_available
from slt.pipeline.translator import Translator

if TYPE_CHECKING:
    from slt.frontend.run import Progress


class LoadedModels:
    """Translators by name.

    Args:
        device: where they compute.
        dtype: in which precision.
        budget_bytes: what their weights may take together; one alone may take more.
    """

    def __init__(self, device: str, dtype: str, budget_bytes: int) -> None:
        self._device = device
        self._dtype = dtype
        self._budget_bytes = budget_bytes
        self._loaded: OrderedDict[str, tuple[Translator, int]] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """The models that are loaded, the least recently used first."""
        return list(self._loaded)

    def get(self, name: str, *, text_encoder: bool = False, progress: Progress | None = None) -> Translator:
        """Return a loaded model.

        Args:
            name: of a bundle, or its folder.
            text_encoder: it must be able to rank texts.
            progress: called while a published model is fetched and imported.

        Raises:
            UserError: no such model, or one that cannot rank texts.
            SltError: the machine failed.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
        else:
            make_available(name, text_encoder=text_encoder, progress=progress)
            needed = weights_bytes(find_bundle(name), self._dtype)
            self._make_room(needed)
            self._loaded[name] = Translator(name, device=self._device, dtype=self._dtype), needed
        translator, _ = self._loaded[name]
        try:
            translator.load(text_encoder=text_encoder, progress=progress)
        except BaseException:
            if translator._bundle is None:
                del self._loaded[name]
            raise
        return translator

    def _make_room(self, needed: int) -> None:
        while self._loaded and needed + sum(size for _, size in self._loaded.values()) > self._budget_bytes:
            self._loaded.popitem(last=False)
            _give_back_memory()


def weights_bytes(bundle: Bundle, dtype: str) -> int:
    """Return about how much memory a bundle's weights take: its files are float32."""
    size = sum(bundle.path(file).stat().st_size for file in bundle.card.files)
    return size if dtype == "float32" else size // 2


def _give_back_memory() -> None:
    """Return freed memory to the system: glibc and torch would keep it."""
    from slt.core.device import empty_caches

    gc.collect()
    empty_caches()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
