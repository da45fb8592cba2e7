"""Batches of clips of similar length: every clip once an epoch, identical after a resume."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

SPREAD = 1.1  # longest of a pool to its shortest: so much of a batch is padding at worst


@dataclass(frozen=True, kw_only=True)
class Batches:
    """All batches of a training, one after the other; a number says where in it one is.

    Clips are pooled by length. In every epoch each pool is shuffled and cut into batches anew, and the batches of all
    pools are shuffled; how many there are never changes.

    Attributes:
        lengths: time steps of each clip.
        rows: time steps in a batch at most, padding included; a single longer clip makes a batch of its own.
        clips: clips in a batch at most.
        multiple: clips in a batch at least, where there are as many: one for each process.
        seed: decides the order.
    """

    lengths: Sequence[int]
    rows: int
    clips: int
    multiple: int = 1
    seed: int = 0
    pools: tuple[tuple[int, ...], ...] = field(init=False)
    per_epoch: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pools", _pools(self.lengths, self.multiple))
        object.__setattr__(self, "per_epoch", sum(self._n_batches(pool) for pool in self.pools))

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of one epoch: indices into ``lengths``."""
        rng = random.Random(f"batches {self.seed} {number}")
        batches: list[list[int]] = []
        for pool in self.pools:
            order, n = rng.sample(pool, len(pool)), self._n_batches(pool)
            batches += [order[i * len(order) // n : (i + 1) * len(order) // n] for i in range(n)]
        rng.shuffle(batches)
        return batches

    def from_position(self, position: int) -> Iterator[tuple[int, list[int]]]:
        """Yield (epoch, batch) for ever, from the batch on that is number ``position`` of the whole training."""
        number, first = divmod(position, self.per_epoch)
        while True:
            yield from ((number, batch) for batch in self.epoch(number)[first:])
            number, first = number + 1, 0

    def padding(self) -> float:
        """Return the share of the first epoch's time steps that are padding."""
        padded = sum(len(batch) * max(map(self.lengths.__getitem__, batch)) for batch in self.epoch(0))
        return 1 - sum(self.lengths) / padded

    def _n_batches(self, pool: Sequence[int]) -> int:
        fits = min(self.clips, self.rows // self.lengths[pool[-1]])  # the last is the longest
        n = -(-len(pool) // max(fits, 1))
        return max(1, min(n, len(pool) // self.multiple))


def _pools(lengths: Sequence[int], least: int) -> tuple[tuple[int, ...], ...]:
    """Return the clips by length, each pool within ``SPREAD``, and of ``least`` clips where it can be."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order]
    begins = [0]
    while begins[-1] < len(order):
        begin = begins[-1]
        beyond = int(np.searchsorted(ordered, SPREAD * ordered[begin], side="right"))
        begins.append(min(max(beyond, begin + least), len(order)))
    if len(begins) > 2 and begins[-1] - begins[-2] < least:
        del begins[-2]
    return tuple(tuple(order[begin:end].tolist()) for begin, end in pairwise(begins))
