"""Continuous synthetic signing with rests between sentences, for evaluating segmentation."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.grammar import Meaning, sentences, sign
from slt.data.synthetic.motion import FPS, Performance, Track, perform
from slt.data.synthetic.signer import Signer, draw_frames, draw_signer

LEAD_FRAMES = 5
"""Every performance begins and ends with so many frames of rest, which are not part of the sentence."""

RESTLESS = (0.08, 0.08, 8.0)
"""How far apart (x, y, angle; standard deviation) the places are in which a hand comes to rest."""


@dataclass(frozen=True, kw_only=True)
class SignedSpan:
    """One sentence of a talk.

    Attributes:
        meaning: what it says.
        start_s: when the hands leave their rest.
        end_s: when they are back.
    """

    meaning: Meaning
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Sentences signed one after another by one drawn signer.

    Attributes:
        signer: who.
        sentences: what was signed, and when.
        performance: the motion of the whole talk.
        seeds: of everything about it.
    """

    signer: Signer
    sentences: tuple[SignedSpan, ...]
    performance: Performance
    seeds: tuple[int, int]

    def frames(self, *, piece: int = 250) -> Iterator[NDArray[np.uint8]]:
        """Draw it: yield (224, 224, 3) uint8 RGB frames at 25 frames per second, holding ``piece`` of them."""
        rng = np.random.default_rng((*self.seeds, 1))
        whole = self.performance
        for start in range(0, len(whole.yaw), piece):
            part = slice(start, start + piece)
            yield from draw_frames(
                self.signer,
                Performance(
                    dominant=whole.dominant[part],
                    other=whole.other[part],
                    cues=whole.cues[part],
                    yaw=whole.yaw[part],
                    signs=(),
                ),
                rng,
            )


def plan_talk(n_sentences: int, seed: int, *, split: str = "test", rest_s: tuple[float, float] = (0.5, 2.0)) -> Talk:
    """Make up a talk; the same seed gives the same one.

    Args:
        n_sentences: how many sentences, at least one.
        seed: of the signer, the sentences, the motion and the rests.
        split: whose sentences and signers, one of ``grammar.SPLITS``.
        rest_s: the shortest and the longest time the hands rest between two sentences; at least 0.4 s, as each
            sentence brings 0.2 s of rest on either side.
    """
    seeds = (zlib.crc32(split.encode()), seed)
    rng = np.random.default_rng(seeds)
    signer = draw_signer(f"{split}-talker-{seed}", rng)
    meanings = itertools.islice(sentences(split, random.Random(f"{split}-talk-{seed}")), n_sentences)
    parts: list[Performance] = []
    signed: list[SignedSpan] = []
    n_frames = 0
    for meaning in meanings:
        one = perform(sign(meaning), signer.manner, rng)
        rest = _rest(one, round(rng.uniform(*rest_s) * FPS) - 2 * LEAD_FRAMES, rng)
        parts += [one, rest]
        start, end = n_frames + LEAD_FRAMES, n_frames + len(one.yaw) - LEAD_FRAMES
        signed.append(SignedSpan(meaning=meaning, start_s=start / FPS, end_s=end / FPS))
        n_frames += len(one.yaw) + len(rest.yaw)
    whole = Performance(
        dominant=_settle(np.concatenate([part.dominant for part in parts]), signed, rng),
        other=_settle(np.concatenate([part.other for part in parts]), signed, rng),
        cues=np.concatenate([part.cues for part in parts]),
        yaw=np.concatenate([part.yaw for part in parts]),
        signs=(),
    )
    return Talk(signer=signer, sentences=tuple(signed), performance=whole, seeds=seeds)


def _rest(after: Performance, n_frames: int, rng: np.random.Generator) -> Performance:
    """Return hands that lie where ``after`` left them, but for a breath, and a head that is still."""
    n_frames = max(n_frames, 0)
    breath = np.sin(2 * np.pi * np.arange(n_frames) / FPS / rng.uniform(2.5, 5.0))[:, None]
    breath = 0.02 * breath * np.array([0.3, 1.0, 20.0, *[0.0] * 6])
    return Performance(
        dominant=after.dominant[-1] + breath,
        other=after.other[-1] + breath,
        cues=np.zeros((n_frames, after.cues.shape[1])),
        yaw=np.zeros(n_frames),
        signs=(),
    )


def _settle(track: Track, sentences: list[SignedSpan], rng: np.random.Generator) -> Track:
    """Return the track of a hand that never rests in quite the same place twice."""
    settled = track.copy()
    places = rng.normal(0.0, 1.0, (len(sentences) + 1, 3)) * np.array(RESTLESS)
    # One place until the first sentence begins, the next from its end on, and on the way there during it.
    times = [edge * FPS for span in sentences for edge in (span.start_s, span.end_s)]
    known = np.repeat(places, 2, axis=0)[1:-1]
    away = np.linalg.norm(track[:, :2] - track[0, :2], axis=1)
    nearness = np.clip(1.0 - away / 0.6, 0.0, 1.0) ** 2
    for column in range(3):
        settled[:, column] += nearness * np.interp(np.arange(len(track)), times, known[:, column])
    return settled
