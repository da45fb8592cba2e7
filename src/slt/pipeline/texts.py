"""Find the texts of several encoded clips together: a search reads all weights at each step, once for all clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from slt.core.device import in_parts, is_accelerator
from slt.core.errors import SltError, as_slt_error
from slt.core.tensors import EncoderOutput
from slt.text.decoder import Hypothesis, TextDecoder, token_limit

CLIPS_ON_CPU = 16
CLIPS_ON_ACCELERATOR = 32
STEPS_AT_ONCE = 4096
"""Padded steps of the encoder that one search may have: 16 clips of 20 seconds; a longer clip has one to itself."""

Texts: TypeAlias = dict[str, list[Hypothesis]]
"""FLORES-200 code → hypotheses, best first."""


@dataclass(frozen=True, kw_only=True)
class EncodedClip:
    """A clip whose text is looked for.

    Attributes:
        output: the sign encoder's, of this clip alone.
        seconds: duration, which limits the length of its text.
    """

    output: EncoderOutput
    seconds: float

    @property
    def n_steps(self) -> int:
        """Steps of the encoder."""
        return self.output.mask.shape[1]


def clips_at_once(device: torch.device) -> int:
    """Return how many clips may be searched together.

    One clip with five beams leaves most of the time to reading the weights. On a CPU SONAR's decoder takes less than
    half of the time for 16 clips together (``benchmarks/texts.py``); a GPU has room for more.
    """
    return CLIPS_ON_ACCELERATOR if is_accelerator(device) else CLIPS_ON_CPU


def find_texts(
    decoder: TextDecoder, clips: Sequence[EncodedClip], langs: Sequence[str], *, beam_size: int = 5, nbest: int = 1
) -> list[Texts | SltError]:
    """Return each clip's texts, or why there are none.

    Each clip's texts are what they would be alone: it keeps a length limit of its own, and leaves the search when it is
    done. Scores may differ in their last digits, by the rounding of larger matrix products. Clips of similar length are
    searched together, in parts of bounded size; where memory runs out, in halves. If a search fails otherwise, each of
    its clips is searched alone, so that a bad one costs only itself.

    Args:
        decoder: writes the texts.
        clips: the clips, any number of them.
        langs: FLORES-200 codes supported by the decoder.
        beam_size: active hypotheses in the beam search.
        nbest: texts per language, at most ``beam_size``.
    """
    found: dict[int, Texts | SltError] = {}
    for part in _parts([clip.n_steps for clip in clips]):
        texts = _search(decoder, [clips[i] for i in part], langs, beam_size=beam_size, nbest=nbest)
        found.update(zip(part, texts, strict=True))
    return [found[i] for i in range(len(clips))]


def _parts(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the indices of clips to be searched together, shortest first, so that padding stays little."""
    part: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if part and (len(part) + 1) * lengths[index] > STEPS_AT_ONCE:
            yield part
            part = []
        part.append(index)
    if part:
        yield part


def _search(
    decoder: TextDecoder, clips: Sequence[EncodedClip], langs: Sequence[str], *, beam_size: int, nbest: int
) -> Sequence[Texts | SltError]:
    """Search all clips at once, or alone those that cannot be searched so."""

    def search(part: slice) -> list[Texts]:
        output = EncoderOutput.of([clip.output for clip in clips[part]])
        limits = [token_limit(clip.seconds) for clip in clips[part]]
        return decoder.translate(output, langs, beam_size=beam_size, nbest=nbest, max_tokens=limits)

    try:
        return in_parts(len(clips), len(clips), search, what="clips")
    except Exception as error:  # the caller tells it, with its clip
        if len(clips) == 1:
            return [as_slt_error(error)]
    return [texts for clip in clips for texts in _search(decoder, [clip], langs, beam_size=beam_size, nbest=nbest)]
