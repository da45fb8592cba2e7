"""Spell words with recorded letters: holds, ways between them, other hands, other views, and joints lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.data.fingerspelling.alphabets import MOVING
from slt.data.fingerspelling.hand import Hand, bent, between, bones, joints, turned
from slt.data.fingerspelling.recordings import Recording, resampled

NO_LETTER = -1
AS_RECORDED = 0.5  # share of words that begin and end as the letter was recorded
_BEGINNER: Mapping[str, Any] = {"hold": (16, 45), "way": (4, 14), "moving": (18, 40)}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How much spelling varies at random; the defaults are what models are trained on.

    Attributes:
        hold: shortest and longest hold of a letter, in frames at 25 per second.
        way: shortest and longest way between two letters, likewise.
        moving: shortest and longest movement of J and Z, likewise.
        slow: share of words that a beginner spells: letters held for a second or two.
        turn: standard deviation of the view about x, y and z (up and down, left and right, roll), in degrees.
        sway: likewise, of the hand from letter to letter.
        bend: likewise, of the fingers.
        proportions: standard deviation of the bones' lengths, as a logarithm.
        borrow: share of letters taken from another signer, of those that may be.
        mix: share of letters that are a mixture of two signers'.
        jitter: standard deviation of the joints, in palm sizes.
        depth: standard deviation of the depth's unit, as a logarithm.
        lost: share of frames without a hand, in runs.
    """

    hold: tuple[int, int] = (3, 16)
    way: tuple[int, int] = (2, 8)
    moving: tuple[int, int] = (9, 22)
    slow: float = 0.15
    turn: tuple[float, float, float] = (14.0, 18.0, 9.0)
    sway: float = 6.0
    bend: float = 8.0
    proportions: float = 0.1
    borrow: float = 0.3
    mix: float = 0.4
    jitter: float = 0.02
    depth: float = 0.25
    lost: float = 0.03


HELD_OUT = Style(turn=(6.0, 8.0, 4.0), sway=3.0, bend=0.0, proportions=0.0, borrow=0.0, mix=0.0, jitter=0.01, depth=0.0)
"""How words of a signer are spelled to be scored: at all speeds, with that signer's own hand and letters."""


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """A word, spelled.

    Attributes:
        text: the word.
        hand: (T, 21, 3) a right hand in palm sizes, z as in ``Recording``; NaN where lost.
        letters: (T,) which letter of the word is held in a frame; ``NO_LETTER`` on the way.
        signer: the language of the signer whose letters they mostly are.
    """

    text: str
    hand: Hand
    letters: NDArray[np.int64]
    signer: str


@dataclass(frozen=True)
class Letters:
    """Recordings by letter, and by signer and letter."""

    recordings: Sequence[Recording]
    any: Mapping[str, list[Recording]] = field(init=False)
    own: Mapping[str, Mapping[str, list[Recording]]] = field(init=False)

    def __post_init__(self) -> None:
        anyone: dict[str, list[Recording]] = {}
        own: dict[str, dict[str, list[Recording]]] = {}
        for one in self.recordings:
            anyone.setdefault(one.letter, []).append(one)
            own.setdefault(one.language, {}).setdefault(one.letter, []).append(one)
        object.__setattr__(self, "any", anyone)
        object.__setattr__(self, "own", own)


def spell(text: str, letters: Letters, signer: str, rng: np.random.Generator, style: Style | None = None) -> Spelled:
    """Spell a word.

    Args:
        text: of letters that were recorded.
        letters: the recordings.
        signer: whose letters to take, by the language; another's where theirs is not the American letter.
        rng: random generator.
        style: how much varies.
    """
    style = style or Style()
    style = replace(style, **_BEGINNER) if rng.random() < style.slow else style
    tempo = rng.random()  # 0 fast, 1 slow; a signer keeps to it within a word
    sizes = np.exp(rng.normal(size=(21, 1)) * style.proportions)
    places = _places(text, rng)
    parts: list[Hand] = []
    numbers: list[int] = []
    for number, letter in enumerate(text):
        shape = _letter(letter, letters, signer, rng, style, tempo)
        shape = joints(bones(shape) * np.where(np.arange(21)[:, None] == 0, 1, sizes)) + places[number]
        if parts:
            way = _way(parts[-1][-1], shape[0], text[number - 1] == letter, tempo, rng, style)
            parts.append(way)
            numbers += [NO_LETTER] * len(way)
        parts.append(shape)
        numbers += [number] * len(shape)
    before, after = _recorded_ends(text, letters, signer, rng)
    parts, numbers = _rising(parts, numbers, (before, after), rng)
    hand = _disturbed(np.concatenate(parts), rng, style)
    return Spelled(text=text, hand=hand, letters=np.array(numbers), signer=signer)


def _places(text: str, rng: np.random.Generator) -> Hand:
    """Return where the wrist is at each letter, (letters, 1, 3): in place, or sliding to the side."""
    slide = max(rng.normal(0.05, 0.12), 0.0)
    places = rng.normal(size=(len(text), 1, 3)) * [0.08, 0.06, 0.0]
    for number in range(1, len(text)):
        again = text[number] == text[number - 1]
        places[number:] += [slide + (rng.uniform(0.3, 1.0) if again and rng.random() < 0.6 else 0.0), 0, 0]
    return places


def _letter(letter: str, letters: Letters, signer: str, rng: np.random.Generator, style: Style, tempo: float) -> Hand:
    """Return one letter, (T, 21, 3), the wrist at the origin in the middle of the hold."""
    own = letters.own.get(signer, {}).get(letter)
    choices = letters.any[letter] if own is None or rng.random() < style.borrow else own
    recording = choices[rng.integers(len(choices))]
    low, high = style.moving if letter in MOVING else style.hold
    n_frames = max(2, round(low + (high - low) * np.clip(tempo + rng.normal() * 0.15, 0, 1)))
    if letter in MOVING:
        hand = resampled(recording.hold, n_frames)
        anchor = hand.mean(0)
    else:
        middle = recording.hold[len(recording.hold) // 5 : max(len(recording.hold) - len(recording.hold) // 5, 1)]
        hand = resampled(middle, n_frames)
        anchor = middle[rng.integers(len(middle))]
    hand = hand - anchor[0]
    shape = anchor - anchor[0]
    moved = shape
    if letter not in MOVING and rng.random() < style.mix:
        other = letters.any[letter][rng.integers(len(letters.any[letter]))].hold
        moved = between(shape, other[len(other) // 2] - other[len(other) // 2, 0], np.array([rng.random() * 0.6]))[0]
    if style.bend:
        moved = bent(moved, rng, degrees=style.bend)
    hand = hand + (moved - shape)
    return np.asarray(hand @ turned(np.radians(rng.normal(size=3) * style.sway)).T)


def _way(start: Hand, end: Hand, again: bool, tempo: float, rng: np.random.Generator, style: Style) -> Hand:
    """Return the way between two letters, at minimum jerk; a letter made twice opens a little, or bounces."""
    low, high = style.way
    n_frames = max(2, round(low + (high - low) * np.clip(tempo + rng.normal() * 0.2, 0, 1)))
    share = np.linspace(0, 1, n_frames + 2)[1:-1]
    way = between(start, end, share**3 * (10 - 15 * share + 6 * share**2))
    if again:
        arc = np.sin(np.pi * share)[:, None, None]
        way = way + arc * [0, rng.uniform(-0.25, 0.35), 0]
        opened = bones(way)
        opened[:, 1:] *= 1 + 0.15 * arc
        way = way if rng.random() < 0.5 else joints(opened)
    return way


def _recorded_ends(text: str, letters: Letters, signer: str, rng: np.random.Generator) -> tuple[Hand, Hand]:
    """Return how the signer came to the first letter and left the last, from the first frame of the hold on."""
    found = []
    for letter, last in ((text[0], False), (text[-1], True)):
        choices = letters.own.get(signer, {}).get(letter) or letters.any[letter]
        one = choices[rng.integers(len(choices))]
        hand = one.after - one.hold[-1] if last else one.before - one.hold[0]
        found.append(hand)
    return found[0], found[1]


def _rising(
    parts: list[Hand], numbers: list[int], recorded: tuple[Hand, Hand], rng: np.random.Generator
) -> tuple[list[Hand], list[int]]:
    """Return the word with the hand coming up before it and going down after it, as recorded or made up."""
    before, after = rng.integers(0, 8, size=2)
    rise = parts[0][:1] + np.linspace(1, 0, before, endpoint=False)[:, None, None] ** 2 * [0, rng.uniform(0.5, 4), 0]
    fall = parts[-1][-1:] + np.linspace(0, 1, after + 1)[1:, None, None] ** 2 * [0, rng.uniform(0.5, 4), 0]
    kind = rng.random(2)
    if kind[0] < AS_RECORDED:
        rise = parts[0][:1] + recorded[0]
    elif kind[0] < 0.75 and before:
        rise = _relaxing(rise[::-1], rng)[::-1]
    if kind[1] < AS_RECORDED:
        fall = parts[-1][-1:] + recorded[1]
    elif kind[1] < 0.75 and after:
        fall = _relaxing(fall, rng)
    return [rise, *parts, fall], [NO_LETTER] * len(rise) + numbers + [NO_LETTER] * len(fall)


def _relaxing(hand: Hand, rng: np.random.Generator) -> Hand:
    """Return a hand that loses its shape from the first frame to the last."""
    loose = bent(bent(hand[-1], rng, degrees=25.0), rng, degrees=25.0)
    share = np.linspace(0, 1, len(hand) + 1)[1:, None, None]
    return np.asarray(hand + share * (loose - hand[-1]))


def _disturbed(hand: Hand, rng: np.random.Generator, style: Style) -> Hand:
    """Return the hand from another view, with trembling joints, another unit of depth, and frames without a hand."""
    wrist = hand[:, :1]
    found = wrist + (hand - wrist) @ turned(np.radians(rng.normal(size=3) * style.turn)).T
    found[..., 2] *= np.exp(rng.normal() * style.depth)
    slow = rng.normal(size=(1, 21, 3)) * style.jitter
    found += slow + rng.normal(size=found.shape) * style.jitter * [0.5, 0.5, 1.0]
    lost = np.zeros(len(hand), bool)
    for start in np.flatnonzero(rng.random(len(hand)) < style.lost / 2):
        lost[start : start + rng.integers(1, 4)] = True
    found[lost] = np.nan
    return np.asarray(found)
