"""Sign-language video to text, on SONAR, SignHiera and fairseq2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slt.pipeline.result import Failure, Translation
    from slt.pipeline.translator import Translator
    from slt.segmentation.finder import SentenceLimits

__all__ = ["Failure", "SentenceLimits", "Translation", "Translator"]

_HOME = {
    "Failure": "slt.pipeline.result",
    "SentenceLimits": "slt.segmentation.finder",
    "Translation": "slt.pipeline.result",
    "Translator": "slt.pipeline.translator",
}


def __getattr__(name: str) -> Any:
    """Import torch and all that stands on it only for those who ask for what needs it."""
    if name not in _HOME:
        raise AttributeError(f"module 'slt' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
