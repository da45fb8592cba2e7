"""Cut a continuous video into sentences with their frames, online."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from slt.segmentation.finder import SentenceFinder, SentenceLimits
from slt.video.base import Frame


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One sentence of a continuous video.

    Attributes:
        start_s: half-way between its first frame and the one before, in seconds since the video's first frame; so
            ``open_span`` finds the same frames again, however the times are rounded to milliseconds.
        end_s: half-way between its last frame and the next.
        crops: the signer in each frame, (size, size, 3) uint8 RGB.
    """

    start_s: float
    end_s: float
    crops: tuple[Frame, ...]


def find_sentences(
    timed_crops: Iterable[tuple[float, Frame]], *, fps: float, limits: SentenceLimits | None = None
) -> Iterator[Sentence]:
    """Yield the sentences in the order in which they are signed; what is not signing is left out.

    Holds the crops of the longest sentence and of the ten seconds by which the finder looks ahead, however long the
    video is.

    Args:
        timed_crops: (seconds since the video's first frame, the signer), in order.
        fps: their rate.
        limits: what counts as a sentence; ``SentenceLimits()`` when None.
    """
    finder = SentenceFinder(fps, limits or SentenceLimits())
    kept: deque[tuple[float, Frame]] = deque()
    first = 0  # the number of the first frame in `kept`
    before = None  # the time of the frame before it
    for time, crop in timed_crops:
        kept.append((time, crop))
        for start, after in finder.add(crop):
            yield _sentence(kept, start - first, after - first, before, fps)
        while first < finder.needed:
            before, _ = kept.popleft()
            first += 1
    for start, after in finder.finish():
        yield _sentence(kept, start - first, after - first, before, fps)


def _sentence(kept: deque[tuple[float, Frame]], start: int, after: int, before: float | None, fps: float) -> Sentence:
    """Take frames ``start`` to ``after`` of those kept; ``before`` is the time of the frame before the first kept."""
    times = [time for time, _ in kept]
    earlier = times[start - 1] if start else before
    return Sentence(
        start_s=0.0 if earlier is None else (earlier + times[start]) / 2,
        end_s=(times[after - 1] + times[after]) / 2 if after < len(times) else times[-1] + 1 / fps,
        crops=tuple(crop for _, crop in islice(kept, start, after)),
    )
