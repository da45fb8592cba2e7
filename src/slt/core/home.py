"""``SLT_HOME``, the folder of everything fetched or cached, and offline mode."""

from __future__ import annotations

import os
from pathlib import Path


def slt_home() -> Path:
    """Return ``$SLT_HOME``, else ``slt`` in the user's cache folder; it need not exist."""
    chosen = os.environ.get("SLT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "slt"


def is_offline() -> bool:
    """Return whether ``SLT_OFFLINE`` forbids every connection; anything but empty and 0 does."""
    return os.environ.get("SLT_OFFLINE", "") not in ("", "0")
