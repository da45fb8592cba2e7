"""SONAR's text encoder and decoder on transformers, where fairseq2 cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from slt.text.config import SonarTextConfig
from slt.text.m2m100.build import create, fill, stored_name
from slt.text.m2m100.search import BeamSearch
from slt.text.m2m100.tokens import SentencePieceTokens
from slt.text.sonar_engine import ScoredTokens, SearchSettings, pad
from slt.text.sonar_text import SonarTextModel


class M2M100Text(SonarTextModel):
    """SONAR text decoder and optional text encoder, computed by the M2M100 classes of transformers."""

    engine: ClassVar = "transformers"

    @classmethod
    def read_tokens(cls, path: Path, languages: Sequence[str]) -> SentencePieceTokens:
        """See ``SonarEngine``."""
        return SentencePieceTokens.read(path, languages)

    @classmethod
    def create(cls, part: str, config: SonarTextConfig, vocab_size: int) -> nn.Module:
        """See ``SonarEngine``."""
        return create(part, config, vocab_size)

    @classmethod
    def fill(cls, part: str, module: nn.Module, weights: Mapping[str, Tensor], device: torch.device | str) -> None:
        """See ``SonarEngine``."""
        fill(module, weights, part, device)

    @classmethod
    def weights_of(cls, part: str, module: nn.Module) -> dict[str, Tensor]:
        """See ``SonarEngine``."""
        return {stored_name(part, name): value for name, value in module.state_dict().items()}

    @classmethod
    def stored_name(cls, part: str, name: str) -> str:
        """See ``SonarEngine``."""
        return stored_name(part, name)

    def _encode(self, rows: list[Tensor]) -> Tensor:
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        return self._text_encoder()(pad(rows, self.device), lengths)

    def _predict(self, embeddings: Tensor, rows: list[Tensor]) -> Tensor:
        return self.decoder(pad(rows, self.device), embeddings)

    def _search(
        self, embeddings: Tensor, prompts: Tensor, limits: Sequence[int], settings: SearchSettings
    ) -> list[list[ScoredTokens]]:
        return BeamSearch(self.decoder, embeddings, prompts, limits, settings)()
