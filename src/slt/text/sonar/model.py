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
TOKENS_OF_A_SENTENCE = 48  # that a batch of texts to be scored is planned for


class SonarText(nn.Module):
    """A SONAR text decoder, and a text encoder where there is one, around one NLLB tokenizer.

    Attributes:
        config: the shape and the languages.
        tokenizer: fairseq2's NLLB tokenizer.
        decoder: sonar's decoder model.
        encoder: sonar's text encoder model, or None.
        tokens: what it makes of texts.
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
        """Make both models with random weights, to be trained; seed torch before to get the same ones again."""
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
        """Put weights, of today's or the old fairseq layout, into models that were never initialised.

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
        """Return what ``load`` takes; the output table is left out, as it is the embedding table itself."""
        return {name: value for name, value in self.decoder.state_dict().items() if name != OUTPUT_TABLE}

    def text_encoder_weights(self) -> dict[str, Tensor]:
        """Return what ``load`` takes."""
        return dict(self._text_encoder().state_dict())

    @property
    def languages(self) -> tuple[str, ...]:
        """The FLORES-200 codes of the texts it reads and writes."""
        return self.config.languages

    @property
    def device(self) -> torch.device:
        """Where its weights lie; embeddings are moved there by themselves."""
        return self.decoder.get_parameter(EMBEDDING["decoder"]).device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, and so what its embeddings are made of; its tables may be kept in less."""
        return next(value.dtype for value in self.decoder.parameters() if value.ndim == 1)

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return the (B, D) embeddings of ``texts``, all in ``lang``, without gradients; batched by length."""
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
            SltError: this model came without a text encoder.
        """
        # sonar lengthens its text encoder's table of positions by two.
        rows = self.tokens.rows(texts, langs, "source", self.config.encoder.max_seq_len + 2)
        tokens, layout = self._batch(rows)
        return self._text_encoder()(tokens, layout).sentence_embeddings

    def loss(
        self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str], *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Teacher-forced cross entropy of ``texts``, each given its embedding.

        The decoder is fed ``</s> __lang__ tokens`` and predicts ``__lang__ tokens </s>``.

        Args:
            embeddings: (B, D) float.
            texts: B target texts.
            langs: the language of each.
            label_smoothing: share of the target's probability spread over the whole vocabulary.

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
        """Return the (B,) mean log-probability of each text's tokens, language and end among them, given its embedding.

        Args:
            embeddings: (B, D) float.
            texts: B texts.
            langs: the language of each.

        Raises:
            UserError: an unknown language.
        """
        size = max(1, LOGITS_PER_SEARCH // (self.tokenizer.vocab_info.size * TOKENS_OF_A_SENTENCE))
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
        """Return the (B, S, V) logits of texts that the decoder is fed, and the (B, S) tokens it should predict."""
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
        """See ``slt.text.decoder.TextDecoder``; SONAR's decoder reads the sentence embedding only."""
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
        """Search the best texts of each embedding in each language, all in one beam search.

        Args:
            embeddings: (B, D) float.
            langs: FLORES-200 codes.
            beam_size: hypotheses kept alive for each embedding and language.
            nbest: how many to return, at most ``beam_size``.
            max_tokens: tokens at most, the end included; by default all the decoder has positions for.
            patient: go on while an unfinished text scores better than the finished; by default as configured.
            retry_repetitive: where the best text goes round in circles, search again with every repeat forbidden.

        Returns:
            B dictionaries, language -> up to ``nbest`` hypotheses, best first.

        Raises:
            UserError: an unknown language, or a size out of range.
            SltError: embeddings of another width, or NaN or infinity, in them or made of them.
        """
        langs = check_languages(langs, self.languages)
        n_tokens = self.tokenizer.vocab_info.size - 2  # padding and unknown aside
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
            raise SltError(f"the decoder reads embeddings of shape (B, {width}), found {tuple(embeddings.shape)}")
        broken = (~embeddings.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if broken:
            raise SltError(f"embeddings {', '.join(map(str, broken))} hold NaN or infinity")

    def _hypotheses(self, row: Sequence[GeneratedHypothesis], limit: int) -> list[Hypothesis]:
        return [
            Hypothesis(
                text=self.tokens.text(found.seq),
                score=float(cast(Tensor, found.score)),  # sampling alone leaves it out
                truncated=len(found.seq) == limit,
            )
            for found in row
        ]

    def _text_encoder(self) -> SonarTextTransformerEncoderModel:
        if self.encoder is None:
            raise SltError("this model came without a text encoder, so it cannot embed text")
        return self.encoder

    def _batch(self, rows: list[Tensor]) -> tuple[Tensor, BatchLayout]:
        return pad_seqs(rows, pad_value=PADDING, device=self.device)
