from __future__ import annotations

import json
from typing import Any

import pytest

from slt.core.errors import UserError
from slt.text.config import SonarTextConfig, StackConfig


def test_a_configuration_survives_json() -> None:
    stack = StackConfig(model_dim=64, num_layers=2, num_heads=4, ffn_inner_dim=128, max_seq_len=40, dropout=0.0)
    config = SonarTextConfig(encoder=stack, decoder=StackConfig(), languages=("deu_Latn", "eng_Latn"), patient=True)

    assert SonarTextConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_absent_settings_are_the_published_ones() -> None:
    assert SonarTextConfig.from_json({}) == SonarTextConfig()
    assert SonarTextConfig.from_json({"decoder": {"num_layers": 3}}).decoder == StackConfig(num_layers=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder": {"layers": 2}, "tokeniser": 1}, "tokeniser: unknown setting; decoder.layers: unknown setting"),
        ({"encoder": 3}, "encoder: found 3, expected settings by name"),
        ({"patient": "yes"}, "patient: found 'yes', expected true or false"),
        ({"languages": "eng_Latn"}, "languages: found 'eng_Latn', expected a list"),
        ({"languages": []}, "languages: found none, expected at least one"),
        ({"languages": ["eng_Latn", "eng_Latn"]}, "languages: found duplicates, expected each once"),
        ({"languages": ["english"]}, "unknown language 'english'"),
        (
            {"encoder": {"model_dim": 0}, "decoder": {"dropout": 1.0, "num_heads": True}},
            "encoder.model_dim: found 0, expected a positive integer; "
            "decoder.num_heads: found True, expected a positive integer; "
            r"decoder.dropout: found 1.0, expected a number in \[0, 1\)",
        ),
        ({"decoder": {"dropout": "no"}}, "decoder.dropout: found 'no', expected a number"),
        ({"decoder": {"model_dim": 60}}, "decoder.model_dim: found 60, expected an even multiple of 16 heads"),
        (
            {"decoder": {"model_dim": 3, "num_heads": 1}},
            "decoder.model_dim: found 3, expected an even multiple",
        ),
    ],
)
def test_mistakes_are_told_together(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SonarTextConfig.from_json(values)
