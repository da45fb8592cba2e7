"""SONAR's text encoder and decoder, whichever library computes them: text to sentence embedding and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from slt.core.device import in_parts
from slt.core.errors import SltError
from slt.core.tensors import EncoderOutput
from slt.text.decoder import Hypothesis, by_length, check_search, limit_each
from slt.text.decoding_flags import evaluation_mode
from slt.text.languages import check_languages
from slt.text.nllb import PADDING
from slt.text.repetition import is_repetitive
from slt.text.sonar_engine import ScoredTokens, SearchSettings, SonarEngine, pad

TEXTS_PER_BATCH = 64
TOKENS_PER_TEXT = 48  # assumed average when choosing the batch size for scoring
# Limits a search's float32 logits to 256 MB: 52 embeddings with beam 5 and 256,206 tokens.
LOGITS_PER_SEARCH = 2**26


class SonarTextModel(SonarEngine):
    """SONAR text decoder and optional text encoder: embeds texts, decodes embeddings, and scores texts."""

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
        return self._encode(self.tokens.rows(texts, langs, "source", self.config.encoder.max_seq_len + 2))

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
        logits, targets, lengths = self._teacher_forced(embeddings, texts, langs)
        # Places are known without asking the device, which would wait for it.
        longest = targets.shape[1]
        real = torch.tensor([row * longest + place for row, n in enumerate(lengths) for place in range(n)])
        real = real.to(targets.device)
        told, wanted = logits.flatten(0, 1)[real], targets.flatten()[real]
        total = F.cross_entropy(told.float(), wanted, reduction="sum", label_smoothing=label_smoothing)
        return total, sum(lengths)

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
        size = max(1, LOGITS_PER_SEARCH // (self.tokens.size * TOKENS_PER_TEXT))
        found: list[Tensor] = []
        with evaluation_mode(self):
            for start in range(0, len(texts), size):
                part = slice(start, start + size)
                logits, targets, _ = self._teacher_forced(embeddings[part], texts[part], langs[part])
                losses = F.cross_entropy(
                    logits.float().transpose(1, 2), targets, reduction="none", ignore_index=PADDING
                )  # (B, S)
                found.append(-losses.sum(1) / (targets != PADDING).sum(1))
        return torch.cat(found).cpu()

    def _teacher_forced(
        self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]
    ) -> tuple[Tensor, Tensor, list[int]]:
        """Return the (B, S, V) logits under teacher forcing, the (B, S) target ids, and how many each text has."""
        rows = self.tokens.rows(texts, langs, "target", self.config.decoder.max_seq_len + 1)
        logits = self._predict(embeddings.to(self.device, self.dtype), [row[:-1] for row in rows])
        return logits, pad([row[1:] for row in rows], self.device), [len(row) - 1 for row in rows]

    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | Sequence[int] | None = None,
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
        max_tokens: int | Sequence[int] | None = None,
        patient: bool | None = None,
        retry_repetitive: bool = False,
    ) -> list[dict[str, list[Hypothesis]]]:
        """Decode each embedding into each language, in one beam search.

        Args:
            embeddings: (B, D) float.
            langs: FLORES-200 codes.
            beam_size: active hypotheses per embedding and language.
            nbest: number of returned hypotheses, at most ``beam_size``.
            max_tokens: maximum number of tokens, including the end, of all texts or of each embedding's; by default
                the decoder's limit.
            patient: stopping criterion, see ``SonarTextConfig``; by default as configured.
            retry_repetitive: if the best text is repetitive, search again without repeated n-grams.

        Returns:
            B dictionaries, language -> up to ``nbest`` hypotheses, best first.

        Raises:
            UserError: an unknown language, or a size out of range.
            SltError: embeddings of another width, or with NaN or infinity.
        """
        langs = check_languages(langs, self.languages)
        n_tokens = self.tokens.size - 2  # without padding and unknown
        check_search(beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, n_tokens=n_tokens)
        self._check_embeddings(embeddings)
        prompts = self.tokens.prompts(langs).to(self.device).repeat(len(embeddings), 1)  # (B * L, 2)
        rows = embeddings.to(self.device, self.dtype).repeat_interleave(len(langs), dim=0)  # (B * L, D)
        positions = self.config.decoder.max_seq_len
        each = limit_each(max_tokens, len(embeddings), positions - prompts.shape[1])
        limits = [limit for limit in each for _ in langs]  # (B * L)
        settings = SearchSettings(
            beam_size=beam_size,
            max_seq_len=positions,
            patient=self.config.patient if patient is None else patient,
        )
        with evaluation_mode(self):
            found = self._hypotheses(rows, prompts, limits, settings)
            looped = [row for row, texts in enumerate(found) if retry_repetitive and is_repetitive(texts[0].text)]
            own = [limits[row] for row in looped]
            again = self._hypotheses(rows[looped], prompts[looped], own, replace(settings, no_repeat=True))
        for row, texts in zip(looped, again, strict=True):
            found[row] = [replace(text, looped=True) for text in texts]
        best = [hypotheses[:nbest] for hypotheses in found]
        return [dict(zip(langs, best[i : i + len(langs)], strict=True)) for i in range(0, len(best), len(langs))]

    def _hypotheses(
        self, rows: Tensor, prompts: Tensor, limits: Sequence[int], settings: SearchSettings
    ) -> list[list[Hypothesis]]:
        """Search in batches that fit into memory."""
        size = max(1, LOGITS_PER_SEARCH // (settings.beam_size * self.tokens.size))
        found: list[list[ScoredTokens]] = in_parts(
            len(rows), size, lambda part: self._search(rows[part], prompts[part], limits[part], settings), what="texts"
        )
        return [
            [
                Hypothesis(text=self.tokens.text(one.ids), score=one.score, truncated=len(one.ids) == limit)
                for one in row
            ]
            for row, limit in zip(found, limits, strict=True)
        ]

    def _check_embeddings(self, embeddings: Tensor) -> None:
        width = self.config.encoder.model_dim
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise SltError(f"found embeddings of shape {tuple(embeddings.shape)}, expected (B, {width})")
        broken = (~embeddings.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if broken:
            raise SltError(f"embeddings {', '.join(map(str, broken))} contain NaN or infinity")
