"""SONAR's text encoder and decoder on fairseq2, the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from slt.text.config import SonarTextConfig
from slt.text.nllb import PADDING
from slt.text.single_context import use_single_context_attention
from slt.text.sonar.build import create_decoder, create_encoder, fill
from slt.text.sonar.library import BatchLayout, ConditionalTransformerDecoderModel, NllbTokenizer, pad_seqs
from slt.text.sonar.search import search
from slt.text.sonar.tokens import Tokens, load_tokenizer
from slt.text.sonar_engine import ScoredTokens, SearchSettings
from slt.text.sonar_text import SonarTextModel


class SonarText(SonarTextModel):
    """SONAR text decoder and optional text encoder, computed by fairseq2."""

    engine: ClassVar = "fairseq2"

    def __init__(
        self, *, config: SonarTextConfig, tokens: Tokens, decoder: nn.Module, encoder: nn.Module | None = None
    ) -> None:
        super().__init__(config=config, tokens=tokens, decoder=decoder, encoder=encoder)
        use_single_context_attention(decoder)

    @property
    def tokenizer(self) -> NllbTokenizer:
        """fairseq2's NLLB tokenizer."""
        return cast(Tokens, self.tokens).tokenizer

    @classmethod
    def read_tokens(cls, path: Path, languages: Sequence[str]) -> Tokens:
        """See ``SonarEngine``."""
        return Tokens(load_tokenizer(path, languages), languages)

    @classmethod
    def create(cls, part: str, config: SonarTextConfig, vocab_size: int) -> nn.Module:
        """See ``SonarEngine``."""
        return create_decoder(config, vocab_size) if part == "decoder" else create_encoder(config, vocab_size)

    @classmethod
    def fill(cls, part: str, module: nn.Module, weights: Mapping[str, Tensor], device: torch.device | str) -> None:
        """See ``SonarEngine``."""
        fill(module, weights, part, device)

    @classmethod
    def weights_of(cls, part: str, module: nn.Module) -> dict[str, Tensor]:
        """See ``SonarEngine``."""
        return dict(module.state_dict())

    @classmethod
    def stored_name(cls, part: str, name: str) -> str:
        """See ``SonarEngine``."""
        return name

    def _encode(self, rows: list[Tensor]) -> Tensor:
        return self._text_encoder()(*self._batch(rows)).sentence_embeddings

    def _predict(self, embeddings: Tensor, rows: list[Tensor]) -> Tensor:
        source = embeddings[:, None]  # (B, 1, D): a one-step encoder output
        return self.decoder(source, BatchLayout.of(source), *self._batch(rows))

    def _search(
        self, embeddings: Tensor, prompts: Tensor, limits: Sequence[int], settings: SearchSettings
    ) -> list[list[ScoredTokens]]:
        decoder = cast(ConditionalTransformerDecoderModel, self.decoder)
        return search(decoder, self.tokenizer.vocab_info, embeddings, prompts, limits, settings)

    def _batch(self, rows: list[Tensor]) -> tuple[Tensor, Any]:
        return pad_seqs(rows, pad_value=PADDING, device=self.device)
