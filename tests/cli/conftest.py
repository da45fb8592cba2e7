from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from slt_cli.main import main
from tests.bundles import bundle, clip, own_bundle  # noqa: F401 - fixtures
from tests.corpora import how2sign, phoenix  # noqa: F401 - fixtures


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left behind.

    Attributes:
        code: its exit code.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
    """

    code: int
    out: str
    err: str


Slt: TypeAlias = Callable[..., Outcome]


@pytest.fixture
def slt(capsys: pytest.CaptureFixture[str]) -> Slt:
    """Run ``slt`` with these words, in this process."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Outcome(code=code, out=out, err=err)

    return run
