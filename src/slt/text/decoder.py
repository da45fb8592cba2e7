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
class Hypothesis:
    """One text a decoder proposes.

    Attributes:
        text: the text, without special tokens.
        score: mean log-probability (natural logarithm) of its tokens, the end's among them, and the language's
            where the decoder is not given it; higher is better.
        truncated: the decoder ran into its length limit, so the text may be cut off.
        looped: a first search went round in circles, and this text is of a second one, which forbade every repeat.
        agreement: cosine between what the text means and what was signed, both in SONAR's space; None: not computed.
        confidence: 0..1, how much to trust the text; see ``slt.text.rerank``; None: not computed.
    """

    text: str
    score: float
    truncated: bool = False
    looped: bool = False
    agreement: float | None = None
    confidence: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the text and what is known about it, for ``json.dumps``."""
        known = {"score": self.score, "agreement": self.agreement, "confidence": self.confidence}
        return {"text": self.text} | {name: round(value, 6) for name, value in known.items() if value is not None}


class TextDecoder(Protocol):
    """Turns what a sign encoder returns into text, in one or more languages."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The FLORES-200 codes it can write."""
        ...

    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | None = None,
    ) -> list[dict[str, list[Hypothesis]]]:
        """Return, per clip and language, up to ``nbest`` hypotheses, best first.

        Raises:
            UserError: a language it does not write, or a size out of range.
        """
        ...


def check_search(*, beam_size: int, nbest: int, max_tokens: int | None, n_tokens: int) -> None:
    """Check that a beam search can be as wide and long as it was asked to be.

    Args:
        beam_size: hypotheses kept alive.
        nbest: how many are returned.
        max_tokens: tokens at most, or None.
        n_tokens: that a text may have; a search looks at twice the beam.

    Raises:
        UserError: a size out of range.
    """
    widest = n_tokens // 2
    if not 1 <= beam_size <= widest:
        raise UserError(f"the beam size must be between 1 and {widest}, found {beam_size}")
    if not 1 <= nbest <= beam_size:
        raise UserError(f"a search with beam size {beam_size} yields 1 to {beam_size} texts, asked for {nbest}")
    if max_tokens is not None and max_tokens < 1:
        raise UserError(f"the token limit must be at least 1, found {max_tokens}")


def by_length(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Yield the places of ``texts``, ``size`` at a time, like lengths together."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def token_limit(duration_s: float) -> int:
    """Return how many tokens a clip of ``duration_s`` seconds can plausibly need, generously.

    An embedding far from all training text often decodes into an endless loop: on a CPU the full 512 tokens of
    the published decoder take minutes, and nothing after the first sentence is of use.
    """
    return SPARE_TOKENS + round(TOKENS_PER_SECOND * max(duration_s, 0.0))
