"""Text decoders of transformers: T5, mT5, ByT5, mBART and NLLB, behind a bridge from the sign encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.device import in_parts
from slt.core.errors import SltError
from slt.core.log import warn
from slt.core.registry import T5_FAMILY
from slt.core.tensors import EncoderOutput
from slt.models.fitting import build_empty, load_strict
from slt.text.decoder import Hypothesis, by_length, check_search, limit_each
from slt.text.decoding_flags import evaluation_mode
from slt.text.hf.config import HfTextConfig
from slt.text.hf.kinds import KINDS
from slt.text.hf.model import IGNORED, make_bridge, make_model, pad_rows, teacher_forced
from slt.text.hf.search import BeamSearch
from slt.text.hf.tokens import Tokens, read_proto
from slt.text.languages import check_languages
from slt.text.repetition import is_repetitive

TEXTS_PER_BATCH = 64
MAX_T5_TOKENS = 512
"""Maximum number of subwords of a T5, which has no position limit; that of an mBART is its number of positions."""


class HfText(nn.Module):
    """Text decoder of transformers, randomly initialised; seed torch first for reproducible weights.

    Args:
        config: shape, languages and source.
        proto: serialised sentencepiece model.

    Attributes:
        config: the same.
        tokens: tokenizer.
        bridge: (B, N, feature_dim) to (B, N, d_model).
        model: transformers' model.
        n_cut: number of texts truncated so far; the first one is reported by a warning.
    """

    Config: ClassVar = HfTextConfig

    def __init__(self, config: HfTextConfig, proto: bytes) -> None:
        super().__init__()
        self.config = config
        self.model = make_model(config)
        self.tokens: Tokens = KINDS[config.kind].tokens(proto, self.model.config.vocab_size)
        if config.kind not in T5_FAMILY:
            check_languages(config.languages, self.tokens.languages)
        self.bridge = make_bridge(config, self.width)
        self.n_cut = 0

    @classmethod
    def load(
        cls,
        config: HfTextConfig,
        weights: Mapping[str, Tensor],
        tokenizer_path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> HfText:
        """Load weights from ``state_dict`` without initialising the decoder first; in evaluation mode.

        Raises:
            UserError: weights are missing, unexpected or of another shape; or the tokenizer does not match.
        """
        proto = read_proto(tokenizer_path)
        text = build_empty(lambda: cls(config, proto)).to(dtype)
        load_strict(text, weights, source=f"these weights of a {config.kind} text decoder")
        return text.to(device).eval()

    @property
    def languages(self) -> tuple[str, ...]:
        """FLORES-200 codes of the output languages."""
        return self.config.languages

    @property
    def width(self) -> int:
        """Width of the model and of its text embeddings."""
        return int(self.model.config.d_model)

    @property
    def device(self) -> torch.device:
        """Device of the weights; inputs are moved there."""
        return next(self.bridge.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of computation."""
        return next(value.dtype for value in self.bridge.parameters() if value.ndim == 1)

    def train(self, mode: bool = True) -> HfText:
        """Set the mode; a frozen model behind the bridge stays in evaluation mode."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.model.parameters()):
            self.model.eval()
        return self

    def loss(
        self, output: EncoderOutput, texts: Sequence[str], langs: Sequence[str], *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Teacher-forced cross entropy of ``texts`` given the encoder output.

        Args:
            output: encoder output of B clips.
            texts: B target texts.
            langs: B FLORES-200 codes.
            label_smoothing: probability mass spread over the vocabulary.

        Returns:
            The sum over tokens in nats, with gradients, and the number of tokens, including the end token but not the
            language token.

        Raises:
            UserError: an unsupported language.
        """
        check_languages(langs, self.languages)
        states, mask = self._states(output)
        prompts = [self.tokens.prompt(lang) for lang in langs]
        logits, targets = teacher_forced(self.model, self.tokens, (states, mask), prompts, self._targets(texts))
        real = targets != IGNORED
        total = F.cross_entropy(logits[real].float(), targets[real], reduction="sum", label_smoothing=label_smoothing)
        return total, int(real.sum())

    @torch.inference_mode()
    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | Sequence[int] | None = None,
    ) -> list[dict[str, list[Hypothesis]]]:
        """See ``slt.text.decoder.TextDecoder``; one beam search of transformers for all languages.

        Raises:
            UserError: an unsupported language, or a size out of range.
            SltError: the encoder output contains NaN or infinity.
        """
        langs = check_languages(langs, self.languages)
        check_search(
            beam_size=beam_size,
            nbest=nbest,
            max_tokens=max_tokens,
            n_tokens=self.tokens.size - len(self.tokens.forbidden),
        )
        with evaluation_mode(self):
            states, mask = self._states(output)
            self._check_finite(states)
            states, mask = states.repeat_interleave(len(langs), 0), mask.repeat_interleave(len(langs), 0)
            prompts = [self.tokens.prompt(lang) for _ in output.sentence for lang in langs]
            limits = self._limits(max_tokens, len(output.sentence), len(prompts[0]))
            limits = [limit for limit in limits for _ in langs]
            search = BeamSearch(self.model, self.tokens, (states, mask), prompts, beam_size=beam_size, limits=limits)
            rows = list(range(len(prompts)))
            found = dict(enumerate(in_parts(len(rows), len(rows), lambda part: search(rows[part]), what="texts")))
            looped = [row for row in rows if is_repetitive(found[row][0].text)]
            again = in_parts(
                len(looped), len(looped), lambda part: search(looped[part], forbid_repeats=True), what="texts"
            )
            for row, texts in zip(looped, again, strict=True):
                found[row] = [replace(text, looped=True) for text in texts]
        best = [found[row][:nbest] for row in rows]
        return [dict(zip(langs, best[i : i + len(langs)], strict=True)) for i in range(0, len(best), len(langs))]

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return (B, d_model) means over tokens of the states of the model's own text encoder; no gradients.

        Args:
            texts: B texts in one language.
            lang: that language.

        Raises:
            UserError: an unsupported language.
            SltError: this mBART or NLLB has no text encoder.
        """
        check_languages([lang], self.languages)
        encoder = self.model.get_encoder()
        if encoder is None:
            raise SltError(f"found an {self.config.kind} without its text encoder, expected one to embed text")
        embeddings = torch.empty(len(texts), self.width, device=self.device, dtype=self.dtype)
        with evaluation_mode(self), torch.no_grad():
            for part in by_length(texts, TEXTS_PER_BATCH):
                rows = [self._truncate(self.tokens.source(texts[i], lang), texts[i]) for i in part]
                ids = pad_rows(rows, self.tokens.pad, self.device)
                mask = pad_rows([[1] * len(row) for row in rows], 0, self.device)
                states = encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (b, S, d_model)
                embeddings[part] = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return embeddings

    def _limits(self, max_tokens: int | Sequence[int] | None, n_clips: int, prompt_length: int) -> list[int]:
        """Return the maximum number of tokens of each clip's text; bytes are several to a token."""
        most = self._max_tokens - prompt_length
        spread = [limit * self.tokens.spread for limit in limit_each(max_tokens, n_clips, most)]
        return limit_each(spread, n_clips, min(most, self.config.max_tokens or most))

    @property
    def _max_tokens(self) -> int:
        """Maximum number of tokens, including the prompt."""
        return int(getattr(self.model.config, "max_position_embeddings", MAX_T5_TOKENS * self.tokens.spread))

    def _states(self, output: EncoderOutput) -> tuple[Tensor, Tensor]:
        """Return the (B, N, d_model) context of the decoder and its (B, N) mask, True = real."""
        if self.config.source == "sentence":
            source = output.sentence[:, None]
            mask = torch.ones(source.shape[:2], dtype=torch.bool, device=self.device)
        else:
            mask = output.mask.to(self.device)
            source = output.sequence.masked_fill(~output.mask[:, :, None], 0)
        states: Tensor = self.bridge(source.to(self.device, self.dtype))
        if self.config.kind in T5_FAMILY:
            states, mask = self._after_prefix(states, mask)
            states = self.model.get_encoder()(inputs_embeds=states, attention_mask=mask).last_hidden_state
        return states, mask

    def _after_prefix(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the context and its mask with the embedded prefix in front, if there is one."""
        if not self.config.prefix:
            return states, mask
        ids = torch.tensor(self.tokens.target(self.config.prefix), device=self.device)
        prefix = self.model.get_input_embeddings()(ids).expand(len(states), -1, -1)  # (B, P, d_model)
        return torch.cat([prefix, states], 1), torch.cat([mask.new_ones(prefix.shape[:2]), mask], 1)

    def _targets(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._truncate(self.tokens.target(text), text) for text in texts]

    def _truncate(self, ids: list[int], text: str) -> list[int]:
        limit = self._max_tokens - 1
        if len(ids) > limit:
            if not self.n_cut:
                warn(f"texts longer than {limit} tokens are truncated; the first one starts with {text[:40]!r}")
            self.n_cut += 1
        return ids[:limit]

    def _check_finite(self, states: Tensor) -> None:
        broken = (~states.isfinite().all(dim=2).all(dim=1)).nonzero().flatten().tolist()
        if broken:
            raise SltError(f"the encoder output of clips {', '.join(map(str, broken))} contains NaN or infinity")
