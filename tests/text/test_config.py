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
        ({"decoder": {"layers": 2}, "tokeniser": 1}, "tokeniser: no such setting; decoder.layers: no such setting"),
        ({"encoder": 3}, "encoder: settings by name are needed, found 3"),
        ({"patient": "yes"}, "patient: true or false is needed, found 'yes'"),
        ({"languages": "eng_Latn"}, "languages: a list is needed, found 'eng_Latn'"),
        ({"languages": []}, "languages: at least one is needed"),
        ({"languages": ["eng_Latn", "eng_Latn"]}, "languages: one stands twice"),
        ({"languages": ["english"]}, "unknown language 'english'"),
        (
            {"encoder": {"model_dim": 0}, "decoder": {"dropout": 1.0, "num_heads": True}},
            "encoder.model_dim: a positive integer is needed, found 0; "
            "decoder.num_heads: a positive integer is needed, found True; "
            r"decoder.dropout: a number in \[0, 1\) is needed, found 1.0",
        ),
        ({"decoder": {"dropout": "no"}}, "decoder.dropout: a number"),
        ({"decoder": {"model_dim": 60}}, "decoder.model_dim: an even multiple of 16 heads is needed, found 60"),
        ({"decoder": {"model_dim": 3, "num_heads": 1}}, "decoder.model_dim: an even multiple of 1 heads"),
    ],
)
def test_mistakes_are_told_together(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SonarTextConfig.from_json(values)
