"""What is spelled: names and common words, a list made for this project, and random strings of letters."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np

from slt.data.fingerspelling.alphabets import LETTERS

SPLITS = ("train", "val", "test")
_TENTHS = {"train": range(0, 5), "val": range(5, 6), "test": range(6, 10)}
SHORTEST, LONGEST = 2, 7  # letters of a random string
AGAIN = 0.08  # chance that a random letter is the last one again


def split_of(text: str) -> str:
    """Return the split that a text belongs to, in every corpus, whatever its seed: by a hash of the text."""
    tenth = zlib.crc32(text.encode()) % 10
    return next(split for split, tenths in _TENTHS.items() if tenth in tenths)


@cache
def words(split: str, letters: str = LETTERS) -> tuple[str, ...]:
    """Return the words of a split that need no other letters.

    Args:
        split: one of ``SPLITS``.
        letters: that can be spelled.
    """
    listed = resources.files("slt.data.fingerspelling").joinpath("words.txt").read_text("utf-8").split()
    return tuple(word for word in listed if split_of(word) == split and set(word) <= set(letters))


def random_string(split: str, letters: Sequence[str], rng: np.random.Generator) -> str:
    """Return a string of letters without meaning, of a split."""
    while True:
        text = ""
        for _ in range(rng.integers(SHORTEST, LONGEST + 1)):
            text += text[-1] if text and rng.random() < AGAIN else letters[int(rng.integers(len(letters)))]
        if split_of(text) == split:
            return text
