"""How the threads of native libraries wait for each other."""

from __future__ import annotations

import os

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Without it OpenMP's threads spin for milliseconds at the end of each short task. On a machine that does
other work too they spin against the thread that they wait for, which takes twice the time, up to ten times."""


def wait_without_spinning() -> None:
    """Ask for it, of this process and those it starts, unless the user has said how to wait.

    OpenMP reads it when it is loaded, which torch does: call this before torch is imported.
    """
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
