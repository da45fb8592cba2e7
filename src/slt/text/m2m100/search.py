"""Beam search with fairseq2's rules, which differ from those of transformers.

Each step considers the best ``2 * beam_size`` continuations of a row. Those among its first ``beam_size`` that end are
finished; the first ``beam_size`` that do not end go on. A row stops as soon as ``beam_size`` texts are finished, or, if
patient, once no unfinished text scores above all finished ones (``slt.text.beam_stop``). A score counts the language
token, and the last possible token of a row is the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from slt.text.nllb import END, PADDING, UNKNOWN
from slt.text.sonar_engine import NO_REPEAT_NGRAM, ScoredTokens, SearchSettings, overflow


class BeamSearch:
    """One beam search over R rows, each with its own embedding and prompt.

    Args:
        decoder: ``TextDecoder``.
        embeddings: (R, D) float.
        prompts: (R, P) int64 token ids at the start of each text.
        limits: maximum number of tokens of each row's texts, including the end.
        settings: of the search.
    """

    def __init__(
        self, decoder: Any, embeddings: Tensor, prompts: Tensor, limits: Sequence[int], settings: SearchSettings
    ) -> None:
        self._decoder, self._settings = decoder, settings
        self._prompt_length = prompts.shape[1]
        self._max_lengths = [min(settings.max_seq_len, prompts.shape[1] + limit) for limit in limits]
        self._finished: list[list[ScoredTokens]] = [[] for _ in prompts]
        # Of the rows that go on, N hypotheses, a beam at a time; at first one per row.
        self._rows = list(range(len(prompts)))
        self._embeddings = embeddings  # (N, D)
        self._ids = prompts  # (N, T)
        self._scores = embeddings.new_zeros(len(prompts), dtype=torch.float32)  # (N,)
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def __call__(self) -> list[list[ScoredTokens]]:
        """Return each row's texts, best first.

        Raises:
            SltError: the decoder returned NaN.
        """
        if not self._rows:
            return []
        predicted = self._predict(self._ids)  # (N, P, V)
        prompted = predicted[:, :-1].gather(2, self._ids[:, 1:, None])
        self._scores = prompted.sum(dim=(1, 2))
        predicted = predicted[:, -1]
        while self._step(predicted):
            predicted = self._predict(self._ids[:, -1:])[:, -1]
        return [sorted(texts, key=lambda text: text.score, reverse=True) for texts in self._finished]

    def _predict(self, ids: Tensor) -> Tensor:
        """Return the (N, S, V) float32 log-probabilities after each of (N, S) new tokens."""
        logits: Tensor = self._decoder(ids, self._embeddings, self._cache)
        found = logits.log_softmax(dim=-1, dtype=torch.float32)
        if found.isnan().any():
            raise overflow(logits.dtype, logits.device)
        return found

    def _step(self, predicted: Tensor) -> bool:
        """Extend each hypothesis by a token, given (N, V) log-probabilities; return whether any row goes on."""
        self._forbid(predicted)
        beam, n_tokens = self._settings.beam_size, predicted.shape[1]
        width = len(self._ids) // len(self._rows)  # hypotheses per row: 1, then `beam`
        totals = (predicted + self._scores[:, None]).view(len(self._rows), width * n_tokens)
        scores, places = totals.topk(2 * beam)  # (R, 2 * beam), best first
        origins = places // n_tokens + torch.arange(len(self._rows), device=places.device)[:, None] * width
        tokens = places % n_tokens
        ends = tokens == END
        self._finish(scores, origins, ends)
        # Stable sorting puts those that do not end first, in the order of their scores.
        going = ends.int().sort(dim=1, stable=True).indices[:, :beam]
        scores, origins, tokens = (one.gather(1, going) for one in (scores, origins, tokens))
        kept = self._unstopped(scores)
        if not kept:
            return False
        self._rows = [self._rows[place] for place in kept]
        self._select(*(one[kept].flatten() for one in (scores, origins, tokens)))
        return True

    def _forbid(self, predicted: Tensor) -> None:
        """Exclude tokens by a log-probability of minus infinity, in place."""
        if self._settings.no_repeat:
            forbid_repeats(self._ids, predicted)
        predicted[:, [PADDING, UNKNOWN]] = -math.inf
        width = len(self._ids) // len(self._rows)
        for place, row in enumerate(self._rows):
            if self._is_last(row):
                own = predicted[place * width : (place + 1) * width]
                own[:, :END] = own[:, END + 1 :] = -math.inf

    def _is_last(self, row: int) -> bool:
        """Whether the token under way is the last one that a row's texts may have."""
        return self._ids.shape[1] + 1 == self._max_lengths[row]

    def _finish(self, scores: Tensor, origins: Tensor, ends: Tensor) -> None:
        """Move the texts that end among the first ``beam_size`` candidates of each row to the finished ones."""
        beam, length = self._settings.beam_size, self._ids.shape[1]
        for place, rank in ends[:, :beam].nonzero().tolist():
            finished = self._finished[self._rows[place]]
            if len(finished) < beam or self._settings.patient:
                ids = torch.cat([self._ids[origins[place, rank], self._prompt_length :], self._ids.new_tensor([END])])
                finished.append(ScoredTokens(ids=ids, score=scores[place, rank].item() / length))

    def _unstopped(self, scores: Tensor) -> list[int]:
        """Return the places of the rows that go on, given the (R, beam) scores of their unfinished hypotheses."""
        length, best = self._ids.shape[1], scores.max(dim=1).values.tolist()
        kept = []
        for place, row in enumerate(self._rows):
            finished = self._finished[row]
            done = len(finished) >= self._settings.beam_size
            if done and self._settings.patient:
                done = max(text.score for text in finished) >= best[place] / length
            if not (done or self._is_last(row)):
                kept.append(place)
        return kept

    def _select(self, scores: Tensor, origins: Tensor, tokens: Tensor) -> None:
        """Continue hypotheses ``origins`` by ``tokens``; all are (N,)."""
        self._ids = torch.cat([self._ids[origins], tokens[:, None]], dim=1)
        self._scores, self._embeddings = scores, self._embeddings[origins]
        self._cache.reorder_cache(origins)  # type: ignore[arg-type]


def forbid_repeats(ids: Tensor, predicted: Tensor, size: int = NO_REPEAT_NGRAM) -> None:
    """Exclude, in place, each token that would repeat an n-gram.

    Args:
        ids: (N, T) int64 hypotheses, with their prompts.
        predicted: (N, V) log-probabilities of their next tokens.
        size: n.
    """
    if ids.shape[1] < size:
        return
    grams = ids.unfold(1, size, 1)  # (N, T - size + 1, size)
    rows, places = (grams[:, :, :-1] == ids[:, None, 1 - size :]).all(dim=2).nonzero(as_tuple=True)
    predicted[rows, grams[rows, places, -1]] = -math.inf
