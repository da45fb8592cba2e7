"""The token that requests must show."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from slt.core.errors import UserError
from slt.serve.settings import is_loopback
from slt.video.oserrors import explain_os_error

VARIABLE = "SLT_SERVE_TOKEN"
SHORTEST = 16


def token_for(host: str, file: Path | None = None) -> str | None:
    """Return the token of a server: from a file, from ``SLT_SERVE_TOKEN``, or a new one.

    Args:
        host: address to listen on; this machine's own needs none.
        file: holds the token.

    Raises:
        UserError: the file cannot be read, or a token that is easily guessed.
    """
    token, where = os.environ.get(VARIABLE, ""), VARIABLE
    if file is not None:
        try:
            token, where = file.read_text("utf-8").strip(), str(file)
        except (OSError, ValueError) as error:
            raise explain_os_error(file, error) from error
    if not token and file is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise UserError(
            f"the token in {where} has {len(token)} characters, expected at least {SHORTEST}, without blanks",
            fix="make one: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'",
        )
    return token
