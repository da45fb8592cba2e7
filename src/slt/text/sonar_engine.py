"""What computes SONAR's text encoder and decoder: the interface of its two libraries, and what they share.

``slt.text.sonar`` computes them with fairseq2, the reference; ``slt.text.m2m100`` with transformers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from slt.core.errors import SltError
from slt.models.fitting import empty_weights, fit
from slt.text.config import SonarTextConfig
from slt.text.decoding_flags import torch_defaults
from slt.text.nllb import PADDING, NllbTokens
from slt.text.weights import EMBEDDING, OUTPUT_TABLE, fairseq2_weights

NO_REPEAT_NGRAM = 4
"""Size of the n-grams that may not be repeated, in the second search after a repetitive result."""

AnyEngine = TypeVar("AnyEngine", bound="SonarEngine")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Settings of one beam search.

    Attributes:
        beam_size: active hypotheses per row.
        max_seq_len: number of positions of the decoder, including the prompt.
        patient: stopping criterion, see ``SonarTextConfig``.
        no_repeat: forbid repeated n-grams of ``NO_REPEAT_NGRAM`` tokens.
    """

    beam_size: int
    max_seq_len: int
    patient: bool
    no_repeat: bool = False


@dataclass(frozen=True, kw_only=True)
class ScoredTokens:
    """One text found by a beam search.

    Attributes:
        ids: (S,) int64 token ids after the prompt, including the end.
        score: mean log-probability of its tokens, including the language token.
    """

    ids: Tensor
    score: float


class SonarEngine(nn.Module, ABC):
    """SONAR text decoder and optional text encoder with one NLLB tokenizer, computed by one library.

    The submodules ``decoder`` and ``encoder`` keep the embedding tables under the names of ``EMBEDDING``. What a
    library computes is in the methods that are abstract here.

    Attributes:
        engine: name of the library that computes.
        config: shape and languages.
        tokens: conversion between texts and token ids.
        decoder: the decoder model.
        encoder: the text encoder model, or None.
    """

    Config: ClassVar = SonarTextConfig
    engine: ClassVar[str]

    def __init__(
        self, *, config: SonarTextConfig, tokens: NllbTokens, decoder: nn.Module, encoder: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.tokens = tokens
        self.decoder = decoder
        self.encoder = encoder

    @classmethod
    @abstractmethod
    def read_tokens(cls, path: Path, languages: Sequence[str]) -> NllbTokens:
        """Read a sentencepiece model.

        Raises:
            UserError: not a sentencepiece model, or its control tokens have other ids.
        """

    @classmethod
    @abstractmethod
    def create(cls, part: str, config: SonarTextConfig, vocab_size: int) -> nn.Module:
        """Build the "encoder" or "decoder", randomly initialised, on torch's default device and in its dtype."""

    @classmethod
    @abstractmethod
    def fill(cls, part: str, module: nn.Module, weights: Mapping[str, Tensor], device: torch.device | str) -> None:
        """Load weights of fairseq2's names into a module built on the meta device.

        Raises:
            UserError: weights are missing, unexpected or of another shape.
        """

    @classmethod
    @abstractmethod
    def weights_of(cls, part: str, module: nn.Module) -> dict[str, Tensor]:
        """Return the weights of the encoder or decoder under fairseq2's names."""

    @classmethod
    @abstractmethod
    def stored_name(cls, part: str, name: str) -> str:
        """Return fairseq2's name of a weight of the encoder or decoder."""

    @abstractmethod
    def _encode(self, rows: list[Tensor]) -> Tensor:
        """Return the (B, D) embeddings of B token sequences, with gradients."""

    @abstractmethod
    def _predict(self, embeddings: Tensor, rows: list[Tensor]) -> Tensor:
        """Return the (B, S, V) logits after each token of B sequences, given their (B, D) embeddings."""

    @abstractmethod
    def _search(
        self, embeddings: Tensor, prompts: Tensor, limits: Sequence[int], settings: SearchSettings
    ) -> list[list[ScoredTokens]]:
        """Decode (B, D) embeddings with (B, P) prompts; per row its texts, best first.

        ``limits`` are the maximum numbers of tokens of each row's texts, including the end.

        Raises:
            SltError: the decoder returned NaN.
        """

    @classmethod
    def build(
        cls: type[AnyEngine],
        config: SonarTextConfig,
        tokenizer_path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> AnyEngine:
        """Build both models, randomly initialised, for training; seed torch first for reproducible weights."""
        tokens = cls.read_tokens(tokenizer_path, config.languages)
        with torch_defaults(device, dtype):
            decoder, encoder = (cls.create(part, config, tokens.size) for part in ("decoder", "encoder"))
        return cls(config=config, tokens=tokens, decoder=decoder, encoder=encoder)

    @classmethod
    def load(
        cls: type[AnyEngine],
        config: SonarTextConfig,
        decoder_weights: Mapping[str, Tensor],
        tokenizer_path: Path,
        text_encoder_weights: Mapping[str, Tensor] | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> AnyEngine:
        """Load weights of the current or old fairseq layout without initialising the models first.

        Raises:
            UserError: weights are missing, unexpected or of another shape.
        """
        tokens = cls.read_tokens(tokenizer_path, config.languages)
        made: dict[str, nn.Module] = {}
        for part, weights in (("decoder", decoder_weights), ("encoder", text_encoder_weights)):
            if weights is not None:
                with torch_defaults("meta", dtype), empty_weights():
                    made[part] = cls.create(part, config, tokens.size)
                cls.fill(part, made[part], fairseq2_weights(weights, part), device)
        return cls(config=config, tokens=tokens, decoder=made["decoder"], encoder=made.get("encoder")).eval()

    @classmethod
    def published_weights(
        cls,
        config: SonarTextConfig,
        weights: Mapping[str, Tensor],
        part: str,
        tokenizer_path: Path,
        *,
        source: Path | str,
    ) -> dict[str, Tensor]:
        """Return weights of the current or old fairseq layout for ``load``; checks that all names match.

        Args:
            config: the shape.
            weights: name → tensor.
            part: "encoder" or "decoder".
            tokenizer_path: the sentencepiece model they were trained with; determines the vocabulary size.
            source: name of the weights in errors.

        Raises:
            UserError: weights do not match this part and shape (every name is listed), or the tokenizer cannot be read.
        """
        vocab_size = cls.read_tokens(tokenizer_path, config.languages).size
        with empty_weights():
            model = cls.create(part, config, vocab_size)
        return fit(
            model,
            fairseq2_weights(weights, part),
            source=source,
            name_all=True,
            stored_name=lambda name: cls.stored_name(part, name),
        )

    def decoder_weights(self) -> dict[str, Tensor]:
        """Return the decoder weights for ``load``, without the output table, which is the embedding table."""
        weights = self.weights_of("decoder", self.decoder)
        return {name: value for name, value in weights.items() if name != OUTPUT_TABLE}

    def text_encoder_weights(self) -> dict[str, Tensor]:
        """Return the text encoder weights for ``load``."""
        return self.weights_of("encoder", self._text_encoder())

    @property
    def languages(self) -> tuple[str, ...]:
        """FLORES-200 codes of the supported languages."""
        return self.config.languages

    @property
    def device(self) -> torch.device:
        """Device of the weights; embeddings are moved there."""
        return self.decoder.get_parameter(EMBEDDING["decoder"]).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of computation and of embeddings; embedding tables may have lower precision."""
        return next(value.dtype for value in self.decoder.parameters() if value.ndim == 1)

    def _text_encoder(self) -> Any:
        if self.encoder is None:
            raise SltError("found a model without a text encoder, expected one to embed text")
        return self.encoder


def pad(rows: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return (B, S) int64 token ids, right-padded."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=PADDING).to(device)


def overflow(dtype: torch.dtype, device: torch.device) -> SltError:
    """Return the error of a decoder that computes NaN."""
    return SltError(f"the text decoder returned NaN in {dtype} on {device}", fix="decode in float32")
