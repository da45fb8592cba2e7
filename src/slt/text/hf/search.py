"""Beam search through transformers, with scores as slt defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation.configuration_utils import GenerationConfig

from slt.text.decoder import Hypothesis
from slt.text.hf.model import as_encoded, log_likelihoods
from slt.text.hf.tokens import Tokens

# A step's float32 logits stay under 256 MB, 53 clips at once with beam 5 and mBART's 250,054 tokens; and so do those
# of the tokens that are scored at once.
LOGITS_PER_SEARCH = 2**26
# No phrase of so many tokens twice, in the search that follows one that went round in circles.
REPEATED_AT_MOST = 4


class BeamSearch:
    """A beam search over rows, each with states to attend to and a prompt of its own.

    Args:
        model: of transformers.
        tokens: its tokenizer.
        seen: (R, N, d_model) states, and their (R, N) mask, True = real.
        prompts: R prompts of one length.
        beam_size: hypotheses kept alive, and returned, for each row.
        limit: tokens at most, the end included.
    """

    def __init__(
        self,
        model: Any,
        tokens: Tokens,
        seen: tuple[Tensor, Tensor],
        prompts: list[list[int]],
        *,
        beam_size: int,
        limit: int,
    ) -> None:
        self._model, self._tokens, (self._states, self._mask) = model, tokens, seen
        self._prompts = torch.tensor(prompts, device=self._states.device)
        self._beam_size, self._limit = beam_size, limit
        self._at_once = max(1, LOGITS_PER_SEARCH // (beam_size * tokens.size))

    def __call__(self, rows: Sequence[int], *, forbid_repeats: bool = False) -> list[list[Hypothesis]]:
        """Return the hypotheses of each row, best first."""
        found: list[list[Hypothesis]] = []
        for start in range(0, len(rows), self._at_once):
            found += self._search(list(rows[start : start + self._at_once]), forbid_repeats=forbid_repeats)
        return found

    def _search(self, rows: list[int], *, forbid_repeats: bool) -> list[list[Hypothesis]]:
        tokens, prompts = self._tokens, self._prompts[rows]
        states, mask = self._states[rows], self._mask[rows]
        written: Tensor = self._model.generate(
            encoder_outputs=as_encoded(states),
            attention_mask=mask.long(),
            decoder_input_ids=prompts,
            # Its own would have as many layers as a T5's encoder has.
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            generation_config=GenerationConfig(
                num_beams=self._beam_size,
                num_return_sequences=self._beam_size,
                max_new_tokens=self._limit,
                length_penalty=1.0,  # the mean over a text's tokens decides
                no_repeat_ngram_size=REPEATED_AT_MOST if forbid_repeats else 0,
                suppress_tokens=list(tokens.forbidden),
                pad_token_id=tokens.pad,
                eos_token_id=tokens.end,
                decoder_start_token_id=int(prompts[0, 0]),
            ),
        )[:, prompts.shape[1] :]
        texts = [self._until_end(row) for row in written.tolist()]
        scores = self._scores(states, mask, prompts, texts)
        made = [self._hypothesis(ids, score) for ids, score in zip(texts, scores, strict=True)]
        return [made[start : start + self._beam_size] for start in range(0, len(made), self._beam_size)]

    def _until_end(self, ids: list[int]) -> list[int]:
        end = self._tokens.end
        return ids[: ids.index(end) + 1] if end in ids else ids

    def _scores(self, states: Tensor, mask: Tensor, prompts: Tensor, texts: list[list[int]]) -> list[float]:
        """Return the mean log-probability of each text's tokens, ``beam_size`` texts for each row.

        The search has them too, but gives them out only together with all its logits, which are gigabytes.
        """
        scores: list[float] = []
        for number in range(len(states)):
            own = texts[number * self._beam_size : (number + 1) * self._beam_size]
            n = len(own)
            scores += log_likelihoods(
                self._model,
                self._tokens,
                (states[number : number + 1].expand(n, -1, -1), mask[number : number + 1].expand(n, -1)),
                [prompts[number].tolist()] * n,
                own,
                at_once=LOGITS_PER_SEARCH,
            )
        return scores

    def _hypothesis(self, ids: list[int], score: float) -> Hypothesis:
        tokens = self._tokens
        return Hypothesis(text=tokens.text(ids), score=score, truncated=ids[-1] != tokens.end)
