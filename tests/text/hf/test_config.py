from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.text.hf.config import HfTextConfig


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"feature_dim": 0}, "feature_dim 0, expected at least 1"),
        ({"dropout": 1.0}, "dropout 1.0, expected 0 or more, less than 1"),
        ({"languages": ()}, "languages absent, expected at least one"),
        ({"kind": "mbart", "languages": ("eng_Latn", "eng_Latn")}, "expected at least one, each once"),
        ({"languages": ("eng_Latn", "deu_Latn")}, "languages eng_Latn, deu_Latn, expected one for t5"),
        ({"kind": "nllb", "prefix": "Translate: "}, "prefix 'Translate: ', which only t5, mt5, byt5 read"),
        ({"max_tokens": -1}, "max_tokens -1, expected 0 or more"),
        ({"languages": ("en",)}, "unknown language 'en'"),
    ],
)
def test_what_is_impossible_is_refused(changed, message):
    with pytest.raises(UserError, match=message):
        HfTextConfig(**{"kind": "t5", "feature_dim": 8, "languages": ("eng_Latn",), **changed})
