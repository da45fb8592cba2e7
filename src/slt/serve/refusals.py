"""Requests that are refused, in the one shape in which the API says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slt.core.errors import SltError


class ApiError(SltError):
    """A request that is refused, or fails.

    Args:
        status: of the HTTP answer.
        code: a short name of the reason.
        message: what was found, what was expected.
        fix: what to do.
        headers: more headers.
    """

    def __init__(
        self, status: int, code: str, message: str, fix: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    @property
    def content(self) -> dict[str, Any]:
        """What the answer's body says; text that is not valid, as a request may hold, is shown escaped."""
        told = {"code": self.code, "message": self.message, "fix": self.fix or ""}
        return {"error": {name: text.encode("utf-8", "backslashreplace").decode() for name, text in told.items()}}
