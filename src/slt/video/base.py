"""The video interface: metadata, and frames that can be read repeatedly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, upright."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The facts about a video that are known before it is read.

    Attributes:
        path: the file or folder.
        fps: frames per second, always positive.
        n_frames: how many frames the header claims, None where it is silent; what can be decoded may be fewer.
        height: pixels, after rotation.
        width: pixels, after rotation.
    """

    path: Path
    fps: float
    n_frames: int | None
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded frame that is not yet converted to RGB: most are used never or once.

    Attributes:
        pixels: makes them, (H, W, 3) uint8 RGB, upright; on any thread, the same each time.
        n_bytes: what keeping the picture takes.
    """

    pixels: Callable[[], Frame]
    n_bytes: int


class Video(ABC):
    """A video that is read one frame at a time, as often as needed, in constant memory.

    Args:
        info: what is known of it.
        warnings: what its reader should know already.
    """

    def __init__(self, info: VideoInfo, warnings: Iterable[str] = ()) -> None:
        self.info = info
        self._warnings = dict.fromkeys(warnings)

    @property
    def warnings(self) -> list[str]:
        """Warnings about this video; the list grows while frames are read, each message once."""
        return list(self._warnings)

    def warn(self, message: str) -> None:
        """Add ``message`` to the warnings; reading a video twice says it once."""
        self._warnings[message] = None

    @abstractmethod
    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (time, frame) from the beginning: seconds since the first frame, and (H, W, 3) uint8 RGB.

        Raises:
            UserError: the video cannot be read to its end.
        """

    def timed_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (time, picture) of all frames, times as in ``timed_frames``, for those who look at few of them.

        Raises:
            UserError: the video cannot be read to its end.
        """
        with closing(self.timed_frames()) as timed:
            for time, frame in timed:
                yield time, Picture(pixels=partial(_itself, frame), n_bytes=frame.nbytes)

    def frames(self) -> Generator[Frame, None, None]:
        """Yield the frames from the beginning, each (H, W, 3) uint8 RGB; every call reads the video anew.

        Raises:
            UserError: the video cannot be read to its end.
        """
        with closing(self.timed_frames()) as timed:
            for _, frame in timed:
                yield frame

    def joints(self) -> NDArray[np.float32] | None:
        """Return the joints of every frame, (T, 3J) float32, where a `.pose` file tells them; else None."""
        return None

    def frames_from(self, start_s: float) -> Generator[tuple[float, Frame], None, None]:
        """Yield (time, frame) of the frames shown at ``start_s`` or later, times as in ``timed_frames``.

        A video that can jump there, does.

        Raises:
            UserError: the video cannot be read to its end.
        """
        with closing(self.timed_frames()) as timed:
            yield from ((time, frame) for time, frame in timed if time >= start_s)


def _itself(frame: Frame) -> Frame:
    return frame
