from __future__ import annotations

import csv
from typing import Any

import pytest
import torch

from slt.text.config import SonarTextConfig, StackConfig
from slt.text.m2m100.build import create, sinusoids, stored_name
from slt.text.sonar.build import create_decoder

from ..conftest import GOLDEN


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_published_models_have_the_published_weights(part: str) -> None:
    with open(GOLDEN / f"keys/sonar050_text_{part}_basic.tsv") as file:
        published = {row["key"]: (row["shape"], row["dtype"]) for row in csv.DictReader(file, delimiter="\t")}

    with torch.device("meta"):
        weights = create(part, SonarTextConfig(), 256206).state_dict()

    own = {
        stored_name(part, name): ("x".join(map(str, value.shape)), str(value.dtype).removeprefix("torch."))
        for name, value in weights.items()
    }
    assert own == published


def test_positions_are_those_of_fairseq2() -> None:
    stack = StackConfig(model_dim=24, num_layers=1, num_heads=2, ffn_inner_dim=32, max_seq_len=50)
    theirs: Any = create_decoder(SonarTextConfig(encoder=stack, decoder=stack), 30)
    torch.testing.assert_close(sinusoids(50, 24), theirs.decoder_frontend.pos_encoder.freqs[1:], rtol=0, atol=2e-6)


def test_random_weights_are_spread_as_in_fairseq2() -> None:
    stack = StackConfig(model_dim=64, num_layers=2, num_heads=2, ffn_inner_dim=96, max_seq_len=8)
    config = SonarTextConfig(encoder=stack, decoder=stack)
    torch.manual_seed(0)
    theirs = create_decoder(config, 300).state_dict()
    ours = {stored_name("decoder", name): value for name, value in create("decoder", config, 300).state_dict().items()}
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name].std(), value.std(), rtol=0.15, atol=0.02, msg=name)
