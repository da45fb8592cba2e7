from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from slt.text.config import SonarTextConfig, StackConfig
from slt.text.engines import sonar_text
from slt.text.sonar.model import SonarText
from slt.text.sonar_text import SonarTextModel
from slt.text.tokenizer import train_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
SENTENCES = {
    "eng_Latn": [
        "the weather is nice today",
        "we go hiking in the mountains",
        "i love programming",
        "first mix the ingredients",
        "landslides are a large concern",
        "is the weather nice",
    ],
    "deu_Latn": [
        "das Wetter ist heute schön",
        "wir wandern in den Bergen",
        "ich liebe das Programmieren",
        "zuerst die Zutaten mischen",
        "Erdrutsche sind eine große Sorge",
        "ist das Wetter schön",
    ],
}
LANGS = ["eng_Latn", "deu_Latn", "zho_Hans"]  # that the reference's small models know


def texts(found: list[dict[str, Any]], lang: str) -> list[str]:
    """Return the best text of each row in one language."""
    return [row[lang][0].text for row in found]


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The reference's small text encoder and decoder: "embeddings", "decoder" and "encoder" weights, "targets"."""
    tensors = load_file(GOLDEN / "decode/sonar_text_tiny.safetensors")
    described = json.loads((GOLDEN / "decode/sonar_text_tiny.json").read_text())

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    return {
        "embeddings": tensors["embeddings"],
        "decoder": under("dec."),
        "encoder": under("enc."),
        "targets": described["targets"],
        "tokenizer": GOLDEN / "tiny/small_spm.model",
        "config": SonarTextConfig(encoder=_stack(described["encoder"]), decoder=_stack(described["decoder"])),
    }


def _stack(described: dict[str, Any]) -> StackConfig:
    return StackConfig(
        model_dim=described["model_dim"],
        num_layers=described["num_encoder_layers"],
        num_heads=described["num_encoder_attn_heads"],
        ffn_inner_dim=described["ffn_inner_dim"],
        max_seq_len=described["max_seq_len"],
        dropout=described["emb_dropout_p"],
    )


@pytest.fixture(scope="session")
def reference(golden: dict[str, Any]) -> SonarText:
    """The reference's small models on fairseq2."""
    return SonarText.load(golden["config"], golden["decoder"], golden["tokenizer"], golden["encoder"])


@pytest.fixture(scope="session", params=["fairseq2", "transformers"])
def engine(request: pytest.FixtureRequest) -> type[SonarTextModel]:
    """What computes SONAR's text models."""
    return sonar_text(request.param)


@pytest.fixture(scope="session")
def golden_model(golden: dict[str, Any], engine: type[SonarTextModel]) -> SonarTextModel:
    return engine.load(golden["config"], golden["decoder"], golden["tokenizer"], golden["encoder"])


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_tokenizer([text for texts in SENTENCES.values() for text in texts], path, 120)
    return path


@pytest.fixture
def config() -> SonarTextConfig:
    stack = StackConfig(model_dim=32, num_layers=1, num_heads=2, ffn_inner_dim=64, max_seq_len=40)
    return SonarTextConfig(encoder=stack, decoder=stack, languages=("eng_Latn", "deu_Latn"))


@pytest.fixture
def model(config: SonarTextConfig, tokenizer_path: Path, engine: type[SonarTextModel]) -> SonarTextModel:
    """A small untrained model, in training mode as it comes."""
    torch.manual_seed(7)
    return engine.build(config, tokenizer_path)
