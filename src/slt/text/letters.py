"""Text decoder of fingerspelling: a letter or none at each step, by connectionist temporal classification (CTC)."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.errors import UserError
from slt.core.tensors import EncoderOutput
from slt.models.fitting import build_empty, load_strict
from slt.text.decoder import Hypothesis, Letter, check_search, limit_each
from slt.text.decoding_flags import evaluation_mode
from slt.text.languages import check_languages

NONE = 0  # the class of steps in which no letter is made, CTC's blank
MAX_BEAM = 100
LEAST = 1e-4  # probability of a letter at a step, below which it is not considered there

_Prefix: TypeAlias = tuple[int, int]
"""A text: the number of the text without its last letter, and that letter; thus long texts are compared at once."""
_NOTHING: _Prefix = (-1, NONE)


@dataclass(frozen=True, kw_only=True)
class LettersConfig:
    """Shape of a decoder that writes letters.

    Attributes:
        feature_dim: width of the encoder's states.
        languages: FLORES-200 codes of the language whose letters these are; exactly one.
        letter_cost: what each letter costs a text in the search, in nats: without it, a letter held for seconds that
            looks like another now and then is read as several.

    Raises:
        UserError: impossible sizes, costs or languages.
    """

    feature_dim: int
    languages: tuple[str, ...]
    letter_cost: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.letter_cost < math.inf:
            raise UserError(f"bad letters decoder configuration: letter_cost {self.letter_cost}, expected 0 or more")
        if self.feature_dim < 1:
            raise UserError(f"bad letters decoder configuration: feature_dim {self.feature_dim}, expected at least 1")
        if len(self.languages) != 1:
            found = ", ".join(self.languages) or "none"
            raise UserError(f"bad letters decoder configuration: languages {found}, expected exactly one")


class LetterText(nn.Module):
    """Writes the letters of a CTC, found by prefix beam search.

    Args:
        config: its shape.
        alphabet: the letters, each one character.

    Reference: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891; Hannun et al. 2014, arXiv 1408.2873.
    """

    Config: ClassVar = LettersConfig

    def __init__(self, config: LettersConfig, alphabet: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.alphabet = tuple(alphabet)
        self.output = nn.Linear(config.feature_dim, 1 + len(self.alphabet))

    @classmethod
    def load(
        cls,
        config: LettersConfig,
        weights: Mapping[str, Tensor],
        tokenizer_path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> LetterText:
        """Load weights from ``state_dict``; in evaluation mode.

        Raises:
            UserError: weights or alphabet do not match.
        """
        alphabet = read_alphabet(tokenizer_path)
        text = build_empty(lambda: cls(config, alphabet)).to(dtype)
        load_strict(text, weights, source="these weights of a letters text decoder")
        return text.to(device).eval()

    @property
    def languages(self) -> tuple[str, ...]:
        """FLORES-200 codes of the output languages: one."""
        return self.config.languages

    def log_probs(self, states: Tensor) -> Tensor:
        """Return (B, N, 1 + letters) float32 log-probabilities of (B, N, feature_dim) states; class 0 is no letter."""
        bias = self.output.bias  # in int8, the layer has no weight
        return F.log_softmax(self.output(states.to(bias.device, bias.dtype)).float(), -1)

    def numbers(self, text: str) -> list[int]:
        """Return the classes of a text's letters."""
        return [1 + self.alphabet.index(letter) for letter in text]

    def loss(self, output: EncoderOutput, texts: Sequence[str]) -> Tensor:
        """Return the mean over B clips of CTC's loss per letter, with gradients.

        Args:
            output: of the encoder, of B clips.
            texts: B texts of letters of the alphabet.
        """
        rows = [torch.tensor(self.numbers(text)) for text in texts]
        return F.ctc_loss(
            self.log_probs(output.sequence).transpose(0, 1),
            torch.cat(rows),
            output.mask.sum(1).cpu(),
            torch.tensor([len(row) for row in rows]),
            zero_infinity=True,
        )

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
        """See ``slt.text.decoder.TextDecoder``; each hypothesis has its letters with their confidences.

        Raises:
            UserError: an unsupported language, or a size out of range.
        """
        langs = check_languages(langs, self.languages)
        check_search(beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, n_tokens=2 * MAX_BEAM)
        with evaluation_mode(self):
            each = self.log_probs(output.sequence).cpu().numpy()
        lengths = output.mask.sum(1).tolist()
        limits = limit_each(max_tokens, len(lengths), sys.maxsize)
        found = [
            self._read(rows[:n], beam_size, nbest, limit) for rows, n, limit in zip(each, lengths, limits, strict=True)
        ]
        return [{lang: list(texts) for lang in langs} for texts in found]

    def _read(self, rows: NDArray[np.float32], beam_size: int, nbest: int, max_tokens: int) -> list[Hypothesis]:
        """Return the ``nbest`` best texts of one clip, best first."""
        found = []
        for prefix, total in prefix_search(rows, beam_size, self.config.letter_cost)[:nbest]:
            kept = prefix[:max_tokens]
            spans = align(rows, prefix)
            letters = tuple(self._letter(rows, number, span) for number, span in zip(kept, spans, strict=False))
            text = "".join(one.letter for one in letters)
            score = total / (1 + len(prefix))
            found.append(Hypothesis(text=text, score=score, truncated=len(kept) < len(prefix), letters=letters))
        return found

    def _letter(self, rows: NDArray[np.float32], number: int, span: tuple[int, int]) -> Letter:
        """Return the letter of a class, held in the steps of a span."""
        first, after = span
        confidence = float(np.exp(rows[first:after, number].max()))
        return Letter(letter=self.alphabet[number - 1], confidence=confidence, at=(first + after) / 2 / len(rows))


def read_alphabet(path: Path) -> list[str]:
    """Read the letters of an alphabet, one a line.

    Raises:
        UserError: it cannot be read, or is not one character a line, each once.
    """
    try:
        letters = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the alphabet {path}: {error}", fix="make the bundle again") from error
    letters = letters[:-1] if letters[-1:] == [""] else letters
    if not letters or any(len(letter) != 1 for letter in letters) or len(set(letters)) < len(letters):
        raise UserError(f"{path} is no alphabet: expected one letter a line, each once", fix="make the bundle again")
    return letters


def prefix_search(
    rows: NDArray[np.float32], beam_size: int, letter_cost: float = 0.0
) -> list[tuple[tuple[int, ...], float]]:
    """Return up to ``beam_size`` most probable texts, each with its log-probability over all alignments.

    Args:
        rows: (N, classes) log-probabilities.
        beam_size: texts kept at each step.
        letter_cost: log-probability that each letter costs in the comparison of texts; not in what is returned.
    """
    ids: dict[_Prefix, int] = {}  # in the order of their numbers
    beams: dict[_Prefix, tuple[float, float]] = {_NOTHING: (0.0, -math.inf)}
    for row in rows:
        classes = [int(one) for one in np.flatnonzero(row > math.log(LEAST)) if one != NONE]
        logs: list[float] = row.tolist()  # in double precision: the sums of an hour are large
        grown: dict[_Prefix, tuple[float, float]] = {}
        for prefix, (resting, held) in beams.items():
            own, last = ids.setdefault(prefix, len(ids)), prefix[1]
            either = _log_sum(resting, held)
            _add(grown, prefix, either + logs[NONE], -math.inf)
            if last != NONE:
                _add(grown, prefix, -math.inf, held + logs[last])
            for number in classes:
                # A letter made twice needs a rest in between.
                before = resting if last == number else either
                _add(grown, (own, number), -math.inf, before + logs[number] - letter_cost)
        best = sorted(grown.items(), key=lambda item: -_log_sum(*item[1]))[:beam_size]
        beams = dict(best)
    known = list(ids)
    texts = [_text(known, prefix) for prefix in beams]
    totals = [_log_sum(*both) for both in beams.values()]
    return [(text, total + letter_cost * len(text)) for text, total in zip(texts, totals, strict=True)]


def _text(known: Sequence[_Prefix], prefix: _Prefix) -> tuple[int, ...]:
    numbers = []
    while prefix != _NOTHING:
        before, number = prefix
        numbers.append(number)
        prefix = known[before]
    return tuple(reversed(numbers))


def _add(beams: dict[_Prefix, tuple[float, float]], prefix: _Prefix, rest: float, held: float) -> None:
    old = beams.get(prefix, (-math.inf, -math.inf))
    beams[prefix] = (_log_sum(old[0], rest), _log_sum(old[1], held))


def _log_sum(one: float, other: float) -> float:
    """Return log(exp(one) + exp(other)); of two numbers, faster than numpy's."""
    less, more = (one, other) if one < other else (other, one)
    return more if less == -math.inf else more + math.log1p(math.exp(less - more))


def align(rows: NDArray[np.float32], numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last (excluded) step of each letter in the most probable alignment.

    Where each state came from is computed twice, the second time a stretch of √N steps at a time from the last: an
    hour's table would take gigabytes.

    Args:
        rows: (N, classes) log-probabilities.
        numbers: the classes of the letters.
    """
    if not numbers:
        return []
    states = np.full(2 * len(numbers) + 1, NONE)
    states[1::2] = numbers
    may_skip = np.zeros(len(states), np.bool_)
    may_skip[2:] = (states[2:] != NONE) & (states[2:] != states[:-2])
    stretch = max(math.isqrt(len(rows)), 1)
    best = np.full(len(states), -np.inf)
    best[0] = 0.0
    starts = []
    for step, row in enumerate(rows):
        if step % stretch == 0:
            starts.append(best)
        best, _ = _advance(best, row[states], may_skip)
    state = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    held: list[list[int]] = [[] for _ in numbers]
    for place in reversed(range(len(starts))):
        best, moves = starts.pop(), []
        for row in rows[place * stretch : (place + 1) * stretch]:
            best, move = _advance(best, row[states], may_skip)
            moves.append(move)
        for step in reversed(range(len(moves))):
            if state % 2:
                held[state // 2].append(place * stretch + step)
            state -= int(moves[step][state])
    return [(steps[-1], steps[0] + 1) if steps else (0, len(rows)) for steps in held]


def _advance(
    best: NDArray[np.float64], logs: NDArray[np.float32], may_skip: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the log-probability of each state one step later, and how many states back it was before: 0, 1 or 2."""
    after, moves = best.copy(), np.zeros(len(best), np.uint8)
    moves[1:] = best[:-1] > best[1:]
    np.maximum(best[1:], best[:-1], out=after[1:])
    skips = may_skip[2:] & (best[:-2] > after[2:])
    moves[2:][skips] = 2
    np.copyto(after[2:], best[:-2], where=skips)
    return after + logs, moves
