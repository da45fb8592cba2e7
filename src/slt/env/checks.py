"""The result type of all checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One row of a report.

    Attributes:
        name: what was checked, in a word or two.
        status: ``ok``; ``warn``: works, but less well than it could; ``fail``: to be mended first.
        found: what is there.
        expected: what should be there; empty where anything goes.
        fix: what to do about it; never empty unless the status is ``ok``.

    Raises:
        ValueError: a complaint without a way out.
    """

    name: str
    status: Status
    found: str
    expected: str = ""
    fix: str = ""

    def __post_init__(self) -> None:
        if self.status != "ok" and not self.fix:
            raise ValueError(f"check {self.name!r} complains without saying what to do: {self.found}")


def failures(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the results that must be mended."""
    return [result for result in results if result.status == "fail"]
