"""Detect texts that repeat themselves, as decoders write them for out-of-domain embeddings."""

from __future__ import annotations

import re

# A phrase five times in a row, or one character ten times.
_REPETITION = re.compile(r"(\S.{1,78}?)\1{4}|(\S)\2{9}", re.DOTALL)


def is_repetitive(text: str) -> bool:
    """Return whether ``text`` contains a long repetition; also works for scripts without spaces."""
    return _REPETITION.search(f"{text} ") is not None
