"""Beam search through transformers, with scores as slt defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation.configuration_utils import GenerationConfig
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

from slt.text.decoder import Hypothesis
from slt.text.hf.model import as_encoded, log_likelihoods
from slt.text.hf.tokens import Tokens

# Limits the float32 logits of a step or scoring batch to 256 MB: 53 clips with beam 5 and mBART's 250,054 tokens.
LOGITS_PER_SEARCH = 2**26
# Size of the n-grams that may not be repeated, in the second search after a repetitive result.
NO_REPEAT_NGRAM = 4


class RowLimits(StoppingCriteria):
    """Ends the hypotheses of each row at a limit of its own, just as transformers ends all of them at the largest.

    Args:
        limits: maximum number of tokens after the prompt, per row.
        prompt_length: tokens of a prompt.
    """

    def __init__(self, limits: Sequence[int], prompt_length: int) -> None:
        self._lengths = torch.tensor([prompt_length + limit for limit in limits])

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Return the (N,) bool of N hypotheses, as many per row, True = at its limit."""
        lengths = self._lengths.to(input_ids.device)
        return (input_ids.shape[1] >= lengths).repeat_interleave(len(input_ids) // len(lengths))


class BeamSearch:
    """Beam search over R rows, each with its own context and prompt.

    Args:
        model: transformers model.
        tokens: its tokenizer.
        context: (R, N, d_model) states and their (R, N) mask, True = real.
        prompts: token ids of R prompts of equal length.
        beam_size: active hypotheses per row; all are returned.
        limits: maximum number of tokens of each row's texts, including the end token.
    """

    def __init__(
        self,
        model: Any,
        tokens: Tokens,
        context: tuple[Tensor, Tensor],
        prompts: list[list[int]],
        *,
        beam_size: int,
        limits: Sequence[int],
    ) -> None:
        self._model, self._tokens, (self._states, self._mask) = model, tokens, context
        self._prompts = torch.tensor(prompts, device=self._states.device)
        self._beam_size, self._limits = beam_size, limits
        self._batch_size = max(1, LOGITS_PER_SEARCH // (beam_size * tokens.size))

    def __call__(self, rows: Sequence[int], *, forbid_repeats: bool = False) -> list[list[Hypothesis]]:
        """Return the hypotheses of each row, best first."""
        found: list[list[Hypothesis]] = []
        for start in range(0, len(rows), self._batch_size):
            found += self._search(list(rows[start : start + self._batch_size]), forbid_repeats=forbid_repeats)
        return found

    def _search(self, rows: list[int], *, forbid_repeats: bool) -> list[list[Hypothesis]]:
        prompts, states, mask = self._prompts[rows], self._states[rows], self._mask[rows]
        texts = self.ids(rows, forbid_repeats=forbid_repeats)
        scores = self._scores(states, mask, prompts, texts)
        made = [self._hypothesis(ids, score) for ids, score in zip(texts, scores, strict=True)]
        return [made[start : start + self._beam_size] for start in range(0, len(made), self._beam_size)]

    def ids(self, rows: list[int], *, forbid_repeats: bool = False) -> list[list[int]]:
        """Return the token ids of ``beam_size`` texts per row, best first, up to and including the end token."""
        tokens, prompts = self._tokens, self._prompts[rows]
        states, mask = self._states[rows], self._mask[rows]
        limits = [self._limits[row] for row in rows]
        written: Tensor = self._model.generate(
            encoder_outputs=as_encoded(states),
            attention_mask=mask.long(),
            decoder_input_ids=prompts,
            # The default cache would have the number of layers of T5's encoder.
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            stopping_criteria=StoppingCriteriaList([RowLimits(limits, prompts.shape[1])]),
            generation_config=GenerationConfig(
                num_beams=self._beam_size,
                num_return_sequences=self._beam_size,
                max_new_tokens=max(limits),
                length_penalty=1.0,  # rank by the mean over tokens
                no_repeat_ngram_size=NO_REPEAT_NGRAM if forbid_repeats else 0,
                suppress_tokens=list(tokens.forbidden) or None,
                pad_token_id=tokens.pad,
                eos_token_id=tokens.end,
                decoder_start_token_id=int(prompts[0, 0]),
            ),
        )[:, prompts.shape[1] :]
        each = [limit for limit in limits for _ in range(self._beam_size)]
        return [self._until_end(row)[:limit] for row, limit in zip(written.tolist(), each, strict=True)]

    def _until_end(self, ids: list[int]) -> list[int]:
        end = self._tokens.end
        return ids[: ids.index(end) + 1] if end in ids else ids

    def _scores(self, states: Tensor, mask: Tensor, prompts: Tensor, texts: list[list[int]]) -> list[float]:
        """Return the mean log-probability of each text's tokens, ``beam_size`` texts per row.

        The search returns them only together with all its logits, which are gigabytes.
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
                max_logits=LOGITS_PER_SEARCH,
            )
        return scores

    def _hypothesis(self, ids: list[int], score: float) -> Hypothesis:
        tokens = self._tokens
        return Hypothesis(text=tokens.text(ids), score=score, truncated=ids[-1] != tokens.end)
