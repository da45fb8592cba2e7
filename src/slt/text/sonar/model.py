"""SONAR's text encoder and decoder on fairseq2: text to sentence embedding and back, in up to 202 languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from fairseq2.generation.generator import Hypothesis as GeneratedHypothesis
from fairseq2.models.nllb.tokenizer import NllbTokenizer
from fairseq2.nn import BatchLayout
from fairseq2.nn.utils.padding import pad_seqs
from sonar.models.sonar_text.model import SonarTextTransformerEncoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.errors import SltError
from slt.core.tensors import EncoderOutput
from slt.text.config import SonarTextConfig
from slt.text.decoder import Hypothesis, by_length, check_search
from slt.text.decoding_flags import evaluation_mode, torch_defaults
from slt.text.languages import check_languages
from slt.text.repetition import is_repetitive
from slt.text.single_context import use_single_context_attention
from slt.text.sonar.build import create_decoder, create_encoder, fill
from slt.text.sonar.search import LOGITS_PER_SEARCH, Search
from slt.text.sonar.tokens import PADDING, Tokens, load_tokenizer
from slt.text.weights import EMBEDDING, OUTPUT_TABLE

TEXTS_PER_BATCH = 64
TOKENS_PER_TEXT = 48  # assumed average when choosing the batch size for scoring


class SonarText(nn.Module):
    """SONAR text decoder and optional text encoder with one NLLB tokenizer.

    Attributes:
        config: shape and languages.
        tokenizer: fairseq2's NLLB tokenizer.
        decoder: sonar's decoder model.
        encoder: sonar's text encoder model, or None.
        tokens: conversion between texts and token ids.
    """

    Config = SonarTextConfig

    def __init__(
        self,
        *,
        config: SonarTextConfig,
        tokenizer: NllbTokenizer,
        decoder: ConditionalTransformerDecoderModel,
        encoder: SonarTextTransformerEncoderModel | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.encoder = encoder
        self.tokens = Tokens(tokenizer, config.languages)
        use_single_context_attention(decoder)

    @classmethod
    def build(
        cls,
        config: SonarTextConfig,
        tokenizer_path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> SonarText:
        """Build both models, randomly initialised, for training; seed torch first for reproducible weights."""
        tokenizer = load_tokenizer(tokenizer_path, config.languages)
        with torch_defaults(device, dtype):
            decoder = create_decoder(config, tokenizer.vocab_info.size)
            encoder = create_encoder(config, tokenizer.vocab_info.size)
        return cls(config=config, tokenizer=tokenizer, decoder=decoder, encoder=encoder)

    @classmethod
    def load(
        cls,
        config: SonarTextConfig,
        decoder_weights: Mapping[str, Tensor],
        tokenizer_path: Path,
        text_encoder_weights: Mapping[str, Tensor] | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> SonarText:
        """Load weights of the current or old fairseq layout without initialising the models first.

        Raises:
            UserError: weights are missing, unexpected or of another shape.
        """
        tokenizer = load_tokenizer(tokenizer_path, config.languages)
        with torch_defaults("meta", dtype):
            decoder = create_decoder(config, tokenizer.vocab_info.size)
            encoder = None if text_encoder_weights is None else create_encoder(config, tokenizer.vocab_info.size)
        fill(decoder, decoder_weights, "decoder", device)
        if text_encoder_weights is not None and encoder is not None:
            fill(encoder, text_encoder_weights, "encoder", device)
        return cls(config=config, tokenizer=tokenizer, decoder=decoder, encoder=encoder).eval()

    def decoder_weights(self) -> dict[str, Tensor]:
        """Return the decoder weights for ``load``, without the output table, which is the embedding table."""
        return {name: value for name, value in self.decoder.state_dict().items() if name != OUTPUT_TABLE}

    def text_encoder_weights(self) -> dict[str, Tensor]:
        """Return the text encoder weights for ``load``."""
        return dict(self._text_encoder().state_dict())

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

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return the (B, D) embeddings of ``texts`` in ``lang``, without gradients; batched by length."""
        check_languages([lang], self.languages)
        width = self.config.encoder.model_dim
        embeddings = torch.empty(len(texts), width, device=self.device, dtype=self.dtype)
        with evaluation_mode(self), torch.no_grad():
            for part in by_length(texts, TEXTS_PER_BATCH):
                embeddings[part] = self.embed_batch([texts[i] for i in part], [lang] * len(part))
        return embeddings

    def embed_batch(self, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B, D) embeddings of one batch, a language per text, with gradients.

        Raises:
            UserError: an unknown language.
            SltError: this model has no text encoder.
        """
        # sonar extends the text encoder's positions by two.
        rows = self.tokens.rows(texts, langs, "source", self.config.encoder.max_seq_len + 2)
        tokens, layout = self._batch(rows)
        return self._text_encoder()(tokens, layout).sentence_embeddings

    def loss(
        self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str], *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Teacher-forced cross entropy of ``texts`` given their embeddings.

        The decoder input is ``</s> __lang__ tokens``, the target ``__lang__ tokens </s>``.

        Args:
            embeddings: (B, D) float.
            texts: B target texts.
            langs: B FLORES-200 codes.
            label_smoothing: probability mass spread over the vocabulary.

        Returns:
            The sum over tokens in nats, with gradients, and the number of tokens.

        Raises:
            UserError: an unknown language.
        """
        logits, targets = self._teacher_forced(embeddings, texts, langs)
        real = targets != PADDING
        total = F.cross_entropy(logits[real].float(), targets[real], reduction="sum", label_smoothing=label_smoothing)
        return total, int(real.sum())

    @torch.inference_mode()
    def log_likelihoods(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B,) mean log-probability of each text's tokens, including language and end, given its embedding.

        Args:
            embeddings: (B, D) float.
            texts: B texts.
            langs: B FLORES-200 codes.

        Raises:
            UserError: an unknown language.
        """
        size = max(1, LOGITS_PER_SEARCH // (self.tokenizer.vocab_info.size * TOKENS_PER_TEXT))
        found: list[Tensor] = []
        with evaluation_mode(self):
            for start in range(0, len(texts), size):
                part = slice(start, start + size)
                logits, targets = self._teacher_forced(embeddings[part], texts[part], langs[part])
                losses = F.cross_entropy(
                    logits.float().transpose(1, 2), targets, reduction="none", ignore_index=PADDING
                )  # (B, S)
                found.append(-losses.sum(1) / (targets != PADDING).sum(1))
        return torch.cat(found).cpu()

    def _teacher_forced(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the (B, S, V) logits under teacher forcing, and the (B, S) target ids."""
        rows = self.tokens.rows(texts, langs, "target", self.config.decoder.max_seq_len + 1)
        inputs, layout = self._batch([row[:-1] for row in rows])
        targets, _ = self._batch([row[1:] for row in rows])
        source = embeddings.to(self.device, self.dtype)[:, None]  # (B, 1, D): a one-step encoder output
        return self.decoder(source, BatchLayout.of(source), inputs, layout), targets

    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | None = None,
    ) -> list[dict[str, list[Hypothesis]]]:
        """See ``slt.text.decoder.TextDecoder``; SONAR's decoder uses the sentence embedding only."""
        return self.decode(
            output.sentence, langs, beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, retry_repetitive=True
        )

    @torch.inference_mode()
    def decode(
        self,
        embeddings: Tensor,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | None = None,
        patient: bool | None = None,
        retry_repetitive: bool = False,
    ) -> list[dict[str, list[Hypothesis]]]:
        """Decode each embedding into each language, in one beam search.

        Args:
            embeddings: (B, D) float.
            langs: FLORES-200 codes.
            beam_size: active hypotheses per embedding and language.
            nbest: number of returned hypotheses, at most ``beam_size``.
            max_tokens: maximum number of tokens, including the end; by default the decoder's limit.
            patient: stopping criterion, see ``SonarTextConfig``; by default as configured.
            retry_repetitive: if the best text is repetitive, search again without repeated n-grams.

        Returns:
            B dictionaries, language -> up to ``nbest`` hypotheses, best first.

        Raises:
            UserError: an unknown language, or a size out of range.
            SltError: embeddings of another width, or with NaN or infinity.
        """
        langs = check_languages(langs, self.languages)
        n_tokens = self.tokenizer.vocab_info.size - 2  # without padding and unknown
        check_search(beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, n_tokens=n_tokens)
        self._check_embeddings(embeddings)
        prompts = self.tokens.prompts(langs).to(self.device).repeat(len(embeddings), 1)  # (B * L, 2)
        rows = embeddings.to(self.device, self.dtype).repeat_interleave(len(langs), dim=0)  # (B * L, D)
        limit = self.config.decoder.max_seq_len - prompts.shape[1]
        limit = limit if max_tokens is None else min(limit, max_tokens)
        search = Search(
            decoder=self.decoder,
            vocabulary=self.tokenizer.vocab_info,
            max_seq_len=self.config.decoder.max_seq_len,
            beam_size=beam_size,
            limit=limit,
            patient=self.config.patient if patient is None else patient,
        )
        with evaluation_mode(self):
            found = [self._hypotheses(row, limit) for row in search(rows, prompts)]
            looped = [row for row, texts in enumerate(found) if retry_repetitive and is_repetitive(texts[0].text)]
            again = search(rows[looped], prompts[looped], forbid_repeats=True)
        for row, texts in zip(looped, again, strict=True):
            found[row] = [replace(text, looped=True) for text in self._hypotheses(texts, limit)]
        best = [hypotheses[:nbest] for hypotheses in found]
        return [dict(zip(langs, best[i : i + len(langs)], strict=True)) for i in range(0, len(best), len(langs))]

    def _check_embeddings(self, embeddings: Tensor) -> None:
        width = self.config.encoder.model_dim
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise SltError(f"found embeddings of shape {tuple(embeddings.shape)}, expected (B, {width})")
        broken = (~embeddings.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if broken:
            raise SltError(f"embeddings {', '.join(map(str, broken))} contain NaN or infinity")

    def _hypotheses(self, row: Sequence[GeneratedHypothesis], limit: int) -> list[Hypothesis]:
        return [
            Hypothesis(
                text=self.tokens.text(found.seq),
                score=float(cast(Tensor, found.score)),  # None for sampling only
                truncated=len(found.seq) == limit,
            )
            for found in row
        ]

    def _text_encoder(self) -> SonarTextTransformerEncoderModel:
        if self.encoder is None:
            raise SltError("found a model without a text encoder, expected one to embed text")
        return self.encoder

    def _batch(self, rows: list[Tensor]) -> tuple[Tensor, BatchLayout]:
        return pad_seqs(rows, pad_value=PADDING, device=self.device)
