from __future__ import annotations

from slt.text.decoder import token_limit


def test_the_token_limit_grows_with_the_clip_and_is_never_nothing() -> None:
    assert token_limit(0.0) == token_limit(-1.0) == 32
    assert token_limit(6.64) == 32 + 106  # the mean clip of How2Sign
    assert token_limit(60) > 512
