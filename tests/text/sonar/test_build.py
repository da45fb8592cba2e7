from __future__ import annotations

import csv
import json
from typing import Any

import pytest
import torch

from slt.text.config import SonarTextConfig
from slt.text.sonar.build import create_decoder, create_encoder

from ..conftest import GOLDEN


@pytest.mark.parametrize(("part", "create"), [("encoder", create_encoder), ("decoder", create_decoder)])
def test_the_published_models_have_the_published_weights(part: str, create: Any) -> None:
    with open(GOLDEN / f"keys/sonar050_text_{part}_basic.tsv") as file:
        published = {row["key"]: (row["shape"], row["dtype"]) for row in csv.DictReader(file, delimiter="\t")}

    with torch.device("meta"):
        weights = create(SonarTextConfig(), 256206).state_dict()

    own = {
        name: ("x".join(map(str, value.shape)), str(value.dtype).removeprefix("torch."))
        for name, value in weights.items()
    }
    assert own == published


def test_the_published_models_are_built_with_the_published_settings() -> None:
    from fairseq2.data.tokenizers import VocabularyInfo
    from sonar.models.sonar_text.config import SonarTextDecoderConfig, SonarTextEncoderConfig
    from sonar.models.sonar_text.factory import SonarTextDecoderFactory, SonarTextEncoderFactory

    published = json.loads((GOLDEN / "keys/sonar050_basic_configs.json").read_text())
    for settings in published.values():
        settings["vocab_info"] = VocabularyInfo(**settings["vocab_info"])
    with torch.device("meta"):
        encoder = SonarTextEncoderFactory(SonarTextEncoderConfig(**published["encoder"])).create_model()
        decoder = SonarTextDecoderFactory(SonarTextDecoderConfig(**published["decoder"])).create_model()
        ours = create_encoder(SonarTextConfig(), 256206), create_decoder(SonarTextConfig(), 256206)

    assert (repr(ours[0]), repr(ours[1])) == (repr(encoder), repr(decoder))
