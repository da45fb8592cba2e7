"""A video whose decoded frames are kept within a memory limit."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from slt.video.base import Frame, Picture, Video

CACHE_BYTES = 256_000_000
"""What the pictures of one video may take: as decoded, 90 s at 224 pixels, 27 s of 360p, 3 s of 1080p."""


class CachedVideo(Video):
    """A video that is first searched for the signer, then read: frames that fit in the cache are decoded once.

    What ``timed_pictures`` yields is kept, compact as the decoder left it, until it takes more than ``cache_bytes``;
    then the cache is emptied. Reading frames adds nothing to the cache, but uses what is in it.

    Args:
        source: the video.
        cache_bytes: what the kept pictures may take together.
    """

    def __init__(self, source: Video, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(source.info)
        self._source = source
        self._kept_bytes = cache_bytes
        self._kept: list[tuple[float, Picture]] | None = None

    @property
    def warnings(self) -> list[str]:
        """The source's warnings."""
        return self._source.warnings

    def warn(self, message: str) -> None:
        """Add ``message`` to the source's warnings."""
        self._source.warn(message)

    def joints(self) -> NDArray[np.float32] | None:
        """Return the source's joints."""
        return self._source.joints()

    def timed_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (time, picture), and keep them all unless they are too many.

        Raises:
            UserError: the video cannot be read to its end.
        """
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[tuple[float, Picture]] = []
        taken = 0
        with closing(self._source.timed_pictures()) as timed:
            for time, picture in timed:
                if taken <= self._kept_bytes:
                    # At a raised rate one picture is shown several times.
                    taken += 0 if kept and kept[-1][1] is picture else picture.n_bytes
                    kept.append((time, picture))
                    if taken > self._kept_bytes:
                        kept.clear()
                yield time, picture
        if taken <= self._kept_bytes:
            self._kept = kept

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (time, frame), decoded only where they were not kept.

        Raises:
            UserError: the video cannot be read to its end.
        """
        if self._kept is None:
            with closing(self._source.timed_frames()) as timed:
                yield from timed
        else:
            for time, picture in self._kept:
                yield time, picture.pixels()
