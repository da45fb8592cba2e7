"""From a signed sentence to a pose per frame: signs, transitions and head cues.

Lengths are in head heights, x counts towards the signer's dominant side from their middle line, y downwards from the
chin, angles are in degrees from upright, positive towards the dominant side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.grammar import CUES, SignedSentence
from slt.data.synthetic.lexicon import HANDSHAPES, PLACES, SIGNS, Sign

FPS = 25.0
_SIGN_FRAMES, _GAP_FRAMES, _REST_FRAMES = 14.0, 5.0, 5
_REST = (0.75, 2.15, -30.0, *HANDSHAPES["flat"])  # x, y, angle, handshape: a hand in the lap
_LEFTWARD = {"belly": -65.0, "chest": -65.0, "across": -65.0, "far": -65.0, "hip": 50.0, "side": 15.0, "high": 10.0}

Track = NDArray[np.float64]  # (T, 9): x, y, angle and the six numbers of a handshape


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How one signer moves: speed and size of movements (1 = average), tremble in head heights."""

    speed: float
    reach: float
    tremble: float


@dataclass(frozen=True, kw_only=True)
class Performance:
    """A signed sentence as motion.

    Attributes:
        dominant, other: (T, 9) hand tracks, see Track.
        cues: (T, 3) strength 0..1 of each of grammar.CUES.
        yaw: (T,) turn of the head, -1..1.
        signs: (gloss, first frame, frame after the last) of each sign, without the ways between them.
    """

    dominant: Track
    other: Track
    cues: NDArray[np.float64]
    yaw: NDArray[np.float64]
    signs: tuple[tuple[str, int, int], ...]


def perform(sentence: SignedSentence, manner: Manner, rng: np.random.Generator) -> Performance:
    """Turn a signed sentence into motion; the same generator state gives the same motion."""
    rest = np.array(_REST)
    hands: list[list[Track]] = [[np.repeat(rest[None], _REST_FRAMES, 0)] for _ in range(2)]
    spans, frame = [], _REST_FRAMES
    for gloss in sentence.glosses:
        length = max(8, round(_SIGN_FRAMES / manner.speed * rng.uniform(0.92, 1.08)))
        gap = max(3, round(_GAP_FRAMES / manner.speed * rng.uniform(0.8, 1.2)))
        for track, way in zip(hands, _sign_tracks(SIGNS[gloss], length, manner.reach, rng), strict=True):
            before = track[-1][-1]
            way = _coarticulate(way, before)
            track.extend((_between(before, way[0], gap), way))
        spans.append((gloss, frame + gap, frame + gap + length))
        frame += gap + length
    for track in hands:
        track.extend((_between(track[-1][-1], rest, 7), np.repeat(rest[None], _REST_FRAMES, 0)))
    dominant, other = (_tremble(np.concatenate(track), manner.tremble, rng) for track in hands)
    cues = _cue_tracks(sentence, spans, len(dominant))
    seconds = np.arange(len(dominant)) / FPS
    yaw = cues[:, CUES.index("headshake")] * np.sin(2 * np.pi * (2.1 * manner.speed * seconds + rng.uniform()))
    return Performance(dominant=dominant, other=other, cues=cues, yaw=yaw, signs=tuple(spans))


def _sign_tracks(sign: Sign, length: int, reach: float, rng: np.random.Generator) -> tuple[Track, Track]:
    """Return the two hands' tracks, each (length, 9), of one sign performed alone."""
    progress = np.linspace(0.0, 1.0, length)
    x, y = np.array(PLACES[sign.place]) + rng.normal(0.0, 0.03, 2)
    if sign.hands == "mirror":
        x = max(abs(x), 0.38)
    dominant = np.empty((length, 9))
    dx, dy, turn, openness = _movement(sign.movement, progress)
    dominant[:, 0], dominant[:, 1] = x + reach * dx, y + reach * dy
    dominant[:, 2] = _LEFTWARD.get(sign.place, -20.0) + turn + rng.normal(0.0, 5.0)
    shape, closed = np.array(HANDSHAPES[sign.handshape]), np.array(HANDSHAPES["fist"])
    dominant[:, 3:] = closed + openness[:, None] * (shape - closed)
    if sign.hands == "mirror":
        return dominant, dominant.copy()
    resting = np.array(_REST)
    if sign.hands == "base":
        resting = np.array([0.35 - 0.6 * x, y + 0.42, -70.0, *HANDSHAPES["flat"]])
    return dominant, np.repeat(resting[None], length, 0)


def _movement(name: str, progress: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return offsets in x and y, turn in degrees, and openness 0..1 of the hand, each (T,), for progress 0..1."""
    still = np.zeros_like(progress)
    dx, dy, turn, openness = still, still, still, still + 1.0
    eased = progress * progress * (3.0 - 2.0 * progress)
    cycle = 2.0 * np.pi * progress
    if name == "tap":
        dy = -0.28 * np.abs(np.sin(cycle))
    elif name == "out":
        dx = 0.6 * eased
    elif name == "down":
        dy = 0.55 * eased - 0.2
    elif name == "up":
        dy = 0.25 - 0.55 * eased
    elif name == "circle":
        dx, dy = 0.28 * np.sin(1.4 * cycle), -0.28 * np.cos(1.4 * cycle)
    elif name == "shake":
        dx = 0.27 * np.sin(1.8 * cycle)
    elif name == "twist":
        turn = 65.0 * np.sin(1.3 * cycle)
    elif name == "open":
        openness = eased
    return dx, dy, turn, openness


def _coarticulate(track: Track, before: NDArray[np.float64]) -> Track:
    """Pull the first half of a sign a little towards where the hand comes from."""
    pull = 0.15 * np.clip(1.0 - 2.0 * np.linspace(0.0, 1.0, len(track)), 0.0, None)
    return track + pull[:, None] * (before - track[0])


def _between(start: NDArray[np.float64], end: NDArray[np.float64], length: int) -> Track:
    """Return the (length, 9) way from one pose to the next, at minimum jerk (Flash and Hogan 1985), ends excluded."""
    t = np.arange(1, length + 1) / (length + 1)
    eased = t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
    return start + eased[:, None] * (end - start)


def _tremble(track: Track, size: float, rng: np.random.Generator) -> Track:
    """Add a slow, smooth wander to position and angle."""
    noise = rng.normal(0.0, 1.0, (len(track) + 8, 3))
    kernel = np.hanning(11)[1:-1]
    smooth = np.stack([np.convolve(column, kernel / np.linalg.norm(kernel), "valid") for column in noise.T], axis=1)
    shaken = track.copy()
    shaken[:, :3] += smooth * np.array([size, size, 120.0 * size])
    return shaken


def _cue_tracks(sentence: SignedSentence, spans: list[tuple[str, int, int]], n_frames: int) -> NDArray[np.float64]:
    """Return the (n_frames, 3) strength of each cue, rising and falling over four frames."""
    cues = np.zeros((n_frames, len(CUES)))
    for span in sentence.cues:
        first, after = spans[span.first][1] - 3, spans[span.last][2] + 3
        frames = np.arange(n_frames)
        strength = np.clip(np.minimum(frames - first + 1, after - frames) / 4.0, 0.0, 1.0)
        cues[:, CUES.index(span.cue)] = np.maximum(cues[:, CUES.index(span.cue)], strength)
    return cues
