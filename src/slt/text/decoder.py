"""The protocol of text decoders, and the type of a hypothesis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from slt.core.errors import UserError

if TYPE_CHECKING:
    from slt.core.tensors import EncoderOutput

# Captions of more than 40 characters per second are timing errors (58 of the 2,357 in How2Sign's test set), and a
# subword shorter than 2.5 characters on average is rare.
TOKENS_PER_SECOND = 16
SPARE_TOKENS = 32


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One letter that was spelled.

    Attributes:
        letter: the letter.
        confidence: the decoder's largest probability of it while it is held, 0..1.
        at: the middle of its hold, as a share of the clip, 0..1.
    """

    letter: str
    confidence: float
    at: float

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for ``json.dumps``."""
        return {"letter": self.letter, "confidence": round(self.confidence, 6), "at": round(self.at, 6)}


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One text proposed by a decoder.

    Attributes:
        text: the text, without special tokens.
        score: mean log-probability (natural logarithm) of its tokens, including the end token, and the language token
            if the decoder predicts it; higher is better.
        truncated: the length limit was reached, so the text may be incomplete.
        looped: the first search produced repetitions; this text is from a second search without repeated 4-grams.
        agreement: cosine between the embeddings of the text and of the clip, in SONAR space; None: not computed.
        confidence: 0..1, see ``slt.text.rerank``; None: not computed.
        letters: of fingerspelling, the letters with a confidence each; None: the decoder does not write letters.
    """

    text: str
    score: float
    truncated: bool = False
    looped: bool = False
    agreement: float | None = None
    confidence: float | None = None
    letters: tuple[Letter, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the text, its available scores and its letters, for ``json.dumps``."""
        scores = {"score": self.score, "agreement": self.agreement, "confidence": self.confidence}
        rounded = {name: round(value, 6) for name, value in scores.items() if value is not None}
        if self.letters is None:
            return {"text": self.text} | rounded
        return {"text": self.text, **rounded, "letters": [one.as_json() for one in self.letters]}


class TextDecoder(Protocol):
    """Decodes the output of a sign encoder into text, in one or more languages."""

    @property
    def languages(self) -> tuple[str, ...]:
        """FLORES-200 codes of its output languages."""
        ...

    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | Sequence[int] | None = None,
    ) -> list[dict[str, list[Hypothesis]]]:
        """Return, per clip and language, up to ``nbest`` hypotheses, best first.

        ``max_tokens`` is the maximum number of tokens of a text, of all clips or of each.

        Raises:
            UserError: an unsupported language, or a size out of range.
        """
        ...


def check_search(*, beam_size: int, nbest: int, max_tokens: int | Sequence[int] | None, n_tokens: int) -> None:
    """Check the sizes of a beam search.

    Args:
        beam_size: number of active hypotheses.
        nbest: number of returned hypotheses.
        max_tokens: maximum number of tokens, of all clips or of each, or None.
        n_tokens: vocabulary size without forbidden tokens; each step considers ``2 * beam_size`` candidates.

    Raises:
        UserError: a size out of range.
    """
    widest = n_tokens // 2
    if not 1 <= beam_size <= widest:
        raise UserError(f"found beam size {beam_size}, expected 1 to {widest}")
    if not 1 <= nbest <= beam_size:
        raise UserError(f"found nbest {nbest}, expected 1 to the beam size {beam_size}")
    if max_tokens is not None and (least := min([max_tokens] if isinstance(max_tokens, int) else max_tokens)) < 1:
        raise UserError(f"found token limit {least}, expected at least 1")


def limit_each(max_tokens: int | Sequence[int] | None, n_clips: int, most: int) -> list[int]:
    """Return the token limit of each of ``n_clips``, at most ``most``."""
    if max_tokens is None or isinstance(max_tokens, int):
        max_tokens = [most if max_tokens is None else max_tokens] * n_clips
    return [min(limit, most) for limit in max_tokens]


def by_length(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Yield batches of ``size`` indices of ``texts``, sorted by length."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def token_limit(duration_s: float) -> int:
    """Return a generous upper bound on the number of tokens for a clip of ``duration_s`` seconds.

    An out-of-domain embedding often decodes into endless repetition: the published decoder's full 512 tokens take
    minutes on a CPU, and nothing after the first sentence is useful.
    """
    return SPARE_TOKENS + round(TOKENS_PER_SECOND * max(duration_s, 0.0))
