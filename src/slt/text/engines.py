"""The libraries that can compute SONAR's text models, and the choice between them."""

from __future__ import annotations

import functools
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from slt.core import log
from slt.core.errors import UserError
from slt.core.registry import TEXT_ENGINES, resolve

if TYPE_CHECKING:
    from slt.text.sonar_text import SonarTextModel

FAIRSEQ2, TRANSFORMERS = "fairseq2", "transformers"


def sonar_text(engine: str | None = None) -> type[SonarTextModel]:
    """Return the class that computes SONAR's text models.

    Args:
        engine: "fairseq2", "transformers", or None: fairseq2 where it can be imported, else transformers, which is
            logged.

    Raises:
        UserError: no such engine, or fairseq2 was asked for and cannot be imported.
    """
    if engine is None:
        return resolve(TEXT_ENGINES, available(), what="text engine")
    if engine == FAIRSEQ2 and (reason := why_not_fairseq2()):
        raise UserError(
            f"the text engine fairseq2 cannot be imported: {reason}",
            fix="--text-engine transformers computes the same; `slt doctor` says what fairseq2 needs",
        )
    return resolve(TEXT_ENGINES, engine, what="text engine")


@functools.cache
def available() -> str:
    """Return "fairseq2" where it can be imported, else "transformers"; the latter is logged once per process."""
    reason = why_not_fairseq2()
    if not reason:
        return FAIRSEQ2
    if is_installed():
        log.warn(f"fairseq2 is installed but cannot be imported, text engine transformers: {reason}")
    else:
        log.say("fairseq2: not here, text engine transformers")
    return TRANSFORMERS


def expected(engine: str | None) -> str:
    """Return the engine that ``sonar_text`` will take, without importing it; it may differ if fairseq2 is broken."""
    return engine or (FAIRSEQ2 if is_installed() else TRANSFORMERS)


def is_installed() -> bool:
    """Return whether fairseq2 is installed, though it may be made for another torch."""
    try:
        metadata.version(FAIRSEQ2)
    except metadata.PackageNotFoundError:
        return False
    return True


@functools.cache
def why_not_fairseq2() -> str:
    """Return the reason why fairseq2 cannot be imported, in one line; empty if it can."""
    try:
        import_module(TEXT_ENGINES[FAIRSEQ2].partition(":")[0])
    except Exception as error:  # beside another torch it raises errors of many types
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return ""
