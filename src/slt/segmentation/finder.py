"""Find sentences in continuous signing: segments between rests, online."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from slt.core.errors import UserError
from slt.segmentation.motion import Levels, MotionMeter, Picture
from slt.segmentation.rest import RestPostures, difference
from slt.video.base import Frame

BEHIND_S = 10.0
"""A frame is judged when so much more of the video is known: levels and rests are learnt first."""

MEMORY_S = 120.0
"""Levels are those of about the last two minutes: light, distance and mood may change."""

QUIET, LIVELY = 5.0, 90.0
"""Percentiles of the motion that count as 0 and as 1."""

LEAST_LIVELY = 0.2
"""Motion, in grey levels per pixel, below which nobody signs: without it, grain would be signing in an empty room."""

STILL, MOVING = 0.15, 0.3
"""Hands come to a stop below the first and move again above the second, between the levels 0 and 1."""

RESTLESS = 0.5
"""Hands that move more than this do not rest, wherever they are."""

NEAR = 0.4
"""Postures that differ by less than this share of how much two pictures SPREAD_S apart do are one posture."""

SPREAD_S = 1.5
SMOOTH_S = 0.2
VALLEY_S = 0.4
"""A sentence that is too long is split where the motion is least on average over this time."""

HOLD = 8.0
"""Hands that stop away from their rest end a sentence only after so many times the shortest pause: signs have holds,
and a word that is spelt with the fingers is nearly still for a second or two."""

EDGE = 0.5
"""This share of the shortest pause is left on either side of a sentence."""


@dataclass(frozen=True, kw_only=True)
class SentenceLimits:
    """What counts as a sentence, in seconds.

    Attributes:
        min_length_s: shorter movements, such as scratching one's nose, are no sentences.
        max_length_s: longer signing is split where the signer moves least.
        min_pause_s: hands that rest for so long end a sentence; hands that stop elsewhere do after eight times that.

    Raises:
        UserError: a value is not positive, or the longest is not at least twice the shortest and its pauses.
    """

    min_length_s: float = 0.6
    max_length_s: float = 20.0
    min_pause_s: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise UserError(f"{name} is {value}, expected a positive number of seconds")
        least = 2 * (self.min_length_s + self.min_pause_s)
        if self.max_length_s < least:
            raise UserError(
                f"sentences cannot be split into lengths from {self.min_length_s:g} to {self.max_length_s:g} s: "
                f"the longest must be at least {least:g} s, twice the shortest with its pause"
            )


class SentenceFinder:
    """Finds sentences in frames that arrive one after another; memory does not grow with their number.

    Args:
        fps: the frames' rate.
        limits: what counts as a sentence.
    """

    def __init__(self, fps: float, limits: SentenceLimits) -> None:
        self._fps = fps
        self._meter = MotionMeter(fps)
        self._motions = Levels(1 / (MEMORY_S * fps))
        self._spreads = Levels(1 / (MEMORY_S * fps))
        self._rests = RestPostures()
        n_recent = max(round(SMOOTH_S * fps), 1)
        self._recent: deque[tuple[float, Picture]] = deque(maxlen=n_recent)
        self._past: deque[Picture] = deque(maxlen=max(round(SPREAD_S * fps), 1))
        self._waiting: deque[tuple[float, Picture]] = deque()
        self._was_still = False
        self._cutter = Cutter(fps, limits, round(self._meter.late + (n_recent - 1) / 2))

    @property
    def needed(self) -> int:
        """The first frame that a sentence still to be found may begin with."""
        return self._cutter.needed

    def add(self, crop: Frame) -> list[tuple[int, int]]:
        """Take the next frame, (size, size, 3) uint8 RGB.

        Returns:
            The sentences that are certain now: (first frame, frame after the last).
        """
        self._recent.append(self._meter(crop))
        motion = sum(one for one, _ in self._recent) / len(self._recent)
        picture = np.stack([one for _, one in self._recent]).mean(axis=0)
        self._learn(motion, picture)
        self._waiting.append((motion, picture))
        return self._judge() if len(self._waiting) > BEHIND_S * self._fps else []

    def finish(self) -> list[tuple[int, int]]:
        """Return the sentences that are left when there are no more frames."""
        found = [span for _ in range(len(self._waiting)) for span in self._judge()]
        return found + self._cutter.finish()

    def _learn(self, motion: float, picture: Picture) -> None:
        """Let the levels and the rests know what was just seen."""
        self._motions.add(motion)
        self._past.append(picture)
        self._spreads.add(difference(self._past[0], picture))
        still = self._level(motion) < STILL
        if still:
            self._rests.held(picture, 1 / self._fps, self._near(), again=not self._was_still)
        self._was_still = still

    def _judge(self) -> list[tuple[int, int]]:
        """Decide about the frame that has waited longest."""
        motion, picture = self._waiting.popleft()
        level = self._level(motion)
        resting = level < RESTLESS and self._rests.distance(picture) < self._near()
        return self._cutter.add(level, resting=resting)

    def _level(self, motion: float) -> float:
        """Return motion on the video's own scale: 0 is quiet, 1 is lively."""
        quiet, lively = self._motions.percentiles(QUIET, LIVELY)
        return (motion - quiet) / max(lively - quiet, LEAST_LIVELY)

    def _near(self) -> float:
        return NEAR * self._spreads.percentiles(50)[0]


class Cutter:
    """Cuts a sequence of judgements, one per frame, into sentences.

    Args:
        fps: frames per second.
        limits: what counts as a sentence.
        late: by how many frames judgements lag behind what they are about.
    """

    def __init__(self, fps: float, limits: SentenceLimits, late: int = 0) -> None:
        self._min_length = limits.min_length_s * fps
        self._pause = max(round(limits.min_pause_s * fps), 1)
        self._hold = max(round(HOLD * limits.min_pause_s * fps), 1)
        self._edge = int(EDGE * self._pause)
        self._longest = int(limits.max_length_s * fps) - 2 * self._edge
        self._valley = max(round(VALLEY_S * fps), 1)
        self._now = -late  # the frame the next judgement is about
        self._late = late
        self._taken = 0  # the frame after the last one that is in a sentence
        self._still = False
        self._resting_for = self._still_for = 0
        self._start: int | None = None  # of the sentence under way
        self._levels: list[float] = []  # of it

    @property
    def needed(self) -> int:
        """The first frame that a sentence still to be found may begin with."""
        return max((max(self._now, 0) if self._start is None else self._start) - self._edge, self._taken, 0)

    def add(self, level: float, *, resting: bool) -> list[tuple[int, int]]:
        """Take the judgement of the next frame.

        Args:
            level: motion, from 0 (quiet) to 1 (lively).
            resting: the hands are where they rest.

        Returns:
            The sentences that end here: (first frame, frame after the last).
        """
        self._still = level < (MOVING if self._still else STILL)
        self._resting_for = self._resting_for + 1 if resting else 0
        self._still_for = self._still_for + 1 if self._still else 0
        if self._start is None and not (self._still or resting):
            self._start, self._levels = max(self._now, 0), []
        self._now += 1
        if self._start is None:
            return []
        self._levels.append(level)
        paused = max(
            self._resting_for if self._resting_for >= self._pause else 0,
            self._still_for if self._still_for >= self._hold else 0,
        )
        if paused:
            return self._close(self._now - paused)
        return self._split() if self._now - self._start >= self._longest else []

    def finish(self) -> list[tuple[int, int]]:
        """Return the sentence that was under way when the video ended."""
        end = self._now - self._resting_for if self._resting_for else self._now + self._late
        self._now += self._late
        return self._close(end)

    def _close(self, end: int) -> list[tuple[int, int]]:
        """End the sentence under way before frame ``end``; too short a one is none."""
        start, self._start = self._start, None
        if start is None or end - start < self._min_length:
            return []
        first, after = max(start - self._edge, self._taken), min(end + self._edge, self._now)
        self._taken = after
        return [(first, after)]

    def _split(self) -> list[tuple[int, int]]:
        """Cut a sentence that has become too long in two where least moves; the second part goes on."""
        start, levels = self._start or 0, self._levels
        smooth = np.convolve(levels, np.ones(self._valley) / self._valley, "same")
        margin = int(self._min_length) + self._edge
        cut = margin + int(np.argmin(smooth[margin : len(smooth) - margin]))
        first = max(start - self._edge, self._taken)
        self._start, self._levels, self._taken = start + cut, levels[cut:], start + cut
        return [(first, start + cut)]
