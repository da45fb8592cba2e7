"""The signer's rest posture, estimated from the video itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slt.segmentation.motion import Picture, changed

MOST = 8
"""So many postures are remembered; the one that was held for the shortest time makes room."""

SHARE = 0.3
"""A posture is a rest when it was held for at least this share of the time of the one held longest."""

LONGEST_MEMORY_S = 20.0
"""No posture counts for more, so that a signer who sits down differently is learnt anew in about this time."""


@dataclass
class _Posture:
    picture: Picture
    seconds: float
    visits: int


class RestPostures:
    """The postures in which a signer held still, and for how long in all."""

    def __init__(self) -> None:
        self._known: list[_Posture] = []

    def held(self, picture: Picture, seconds: float, near: float, *, again: bool) -> None:
        """Learn that the signer looked like ``picture`` and held still.

        Args:
            picture: what they looked like.
            seconds: for how long.
            near: two pictures that differ by less, in grey levels per pixel, show one posture.
            again: they have moved since the last time.
        """
        nearest = _nearest(self._known, picture)
        if nearest is None or difference(nearest.picture, picture) > near:
            self._known = sorted(self._known, key=lambda one: -one.seconds)[: MOST - 1]
            self._known.append(_Posture(picture.copy(), seconds, 1))
            return
        share = seconds / (nearest.seconds + seconds)
        nearest.picture += np.float32(share) * (picture - nearest.picture)
        nearest.seconds = min(nearest.seconds + seconds, LONGEST_MEMORY_S)
        nearest.visits += again

    def distance(self, picture: Picture) -> float:
        """Return how much ``picture`` differs from the nearest rest, in grey levels per pixel; infinite without one."""
        longest = max((one.seconds for one in self._known), default=0.0)
        rests = [one for one in self._known if one.visits > 1 and one.seconds >= SHARE * longest]
        nearest = _nearest(rests, picture)
        return float("inf") if nearest is None else difference(nearest.picture, picture)


def difference(one: Picture, other: Picture) -> float:
    """Return how much two pictures differ, in grey levels per pixel, beyond a small shift of the camera."""
    return float(changed(one, other).mean())


def _nearest(postures: list[_Posture], picture: Picture) -> _Posture | None:
    return min(postures, key=lambda one: float(np.abs(one.picture - picture).mean()), default=None)
