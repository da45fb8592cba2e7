"""Cut frames into windows online, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice, tee, zip_longest

import numpy as np
from numpy.typing import NDArray

from slt.video.base import Frame, Video
from slt.video.boxes import Box
from slt.video.crop import SignerBox, crop_resize
from slt.video.windows import Window, WindowGeometry, plan_windows


def cropped_frames(
    video: Video, signer: SignerBox, size: int, cut: Callable[[Frame, Box, int], Frame] = crop_resize
) -> Generator[Frame, None, None]:
    """Yield the signer in every frame of ``video``, each (size, size, 3) uint8 RGB, as ``cut`` cuts it.

    Raises:
        UserError: the video cannot be read to its end.
    """
    with closing(timed_crops(video, signer, size, cut)) as timed:
        for _, crop in timed:
            yield crop


def timed_crops(
    video: Video, signer: SignerBox, size: int, cut: Callable[[Frame, Box, int], Frame] = crop_resize
) -> Generator[tuple[float, Frame], None, None]:
    """Yield (seconds since the first frame, the signer) for every frame of ``video``, as ``cropped_frames`` does.

    Raises:
        UserError: the video cannot be read to its end.
    """
    with closing(video.timed_frames()) as timed:
        for time, frame in timed:
            yield time, cut(frame, signer.box, size)


def late_starts(frames: Iterable[Frame], n_streams: int, *, fps: float, geometry: WindowGeometry) -> list[WindowStream]:
    """Cut the same frames several times, each time beginning a frame later; the frames are read once.

    Args:
        frames: as for ``WindowStream``.
        n_streams: how many times; fewer where there are not so many frames.
        fps: their rate.
        geometry: how to cut.

    Returns:
        the streams, to be read side by side, by ``in_turn``: what one has read and another has not is kept.
    """
    if n_streams == 1:
        return [WindowStream(frames, fps=fps, geometry=geometry)]
    rest = iter(frames)
    first = list(islice(rest, n_streams))
    copies = tee(chain(first, rest), max(1, len(first)))
    return [WindowStream(islice(copy, late, None), fps=fps, geometry=geometry) for late, copy in enumerate(copies)]


def in_turn(streams: Sequence[WindowStream]) -> Iterator[tuple[int, Window, NDArray[np.uint8]]]:
    """Yield the windows of several streams, one of each in turn, each with its stream's number before it."""
    for turn in zip_longest(*streams):
        for number, window in enumerate(turn):
            if window is not None:
                yield number, *window


class WindowStream:
    """The windows of a video whose length is known only at its end; holds the frames of about two windows.

    Args:
        frames: frames of one size, each (size, size, 3) uint8; read once.
        fps: their rate.
        geometry: how to cut.

    Attributes:
        n_frames: frames read so far.
        windows: windows yielded so far.
    """

    def __init__(self, frames: Iterable[Frame], *, fps: float, geometry: WindowGeometry) -> None:
        self.n_frames = 0
        self.windows: list[Window] = []
        self._frames = frames
        self._fps = fps
        self._geometry = geometry
        self._kept: dict[int, Frame] = {}

    def __iter__(self) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """Yield each window with its pixels, (num_frames, size, size, 3) uint8.

        Raises:
            UserError: there is no frame, or the video cannot be read to its end.
        """
        for frame in self._frames:
            self._kept[self.n_frames] = frame
            self.n_frames += 1
            if self.n_frames % self._geometry.num_frames == 0:
                # A window that ends a frame before the video does is the same however much of the video follows.
                yield from self._cut([window for window in self._next() if window.end + 1 <= self.n_frames])
        yield from self._cut(self._next())

    def _next(self) -> list[Window]:
        """Plan the windows that are still to come, as if the video ended here."""
        return plan_windows(self.n_frames, self._fps, self._geometry, first=len(self.windows))

    def _cut(self, windows: list[Window]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        for window in windows:
            self.windows.append(window)
            for index in [index for index in self._kept if index < window.start]:
                del self._kept[index]
            yield window, np.stack([self._kept[index] for index in window.indices.tolist()])
