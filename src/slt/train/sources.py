"""Sources of a clip's input: stored features, its video, or its text alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.bundle.load import window_geometry
from slt.core.errors import UserError
from slt.data.features.open import open_features
from slt.data.manifest import Clip, Manifest
from slt.frontend.base import Frontend
from slt.frontend.clip import ClipSource
from slt.recipe.data import Split
from slt.video.base import Video
from slt.video.rate import to_working_rate
from slt.video.span import open_span
from slt.video.windows import feature_rows, plan_windows

Streams: TypeAlias = tuple[NDArray[np.float32], ...]
"""The features of one clip: (N, feature_dim); and, where there is a second stream, (M, visual_dim)."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The windows of one clip, as the extractor takes them.

    Attributes:
        pixels: (W, T, H, W, 3) uint8, RGB.
        padding: (W,) int64, sampled frames at each one's end that are padding.
    """

    pixels: NDArray[np.uint8]
    padding: NDArray[np.int64]


class Source(Protocol):
    """What every source offers; pickled into the processes that read ahead.

    Attributes:
        widths: of each stream of features; empty where there are none yet.
        blank: what a number of the first stream is where nothing was seen.
    """

    widths: tuple[int, ...]
    blank: float

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """Return how long a clip is, in time steps or characters; 0 when there is nothing of it."""
        ...

    def missing(self, clip: Clip) -> str:
        """Return why a clip whose length is 0 cannot be learnt from."""
        ...

    def read(self, clip: Clip) -> Streams | Windows | None:
        """Return its features, its windows, or None."""
        ...


class FeatureSource:
    """Features that were stored before; each stream of them in a store of its own.

    Args:
        split: says where.
        keypoints: the first stream are keypoints, in which NaN stands where a joint was not seen.
    """

    def __init__(self, split: Split, *, keypoints: bool = False) -> None:
        self.paths = [path for _, path in split.streams]
        self.stores = [open_features(Path(path)) for path in self.paths]
        self.widths = tuple(store.header.feature_dim for store in self.stores)
        self.blank = math.nan if keypoints else 0.0

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``; by the first stream, and 0 where any lacks the clip."""
        lengths = self._lengths(clip)
        return lengths[0] if all(lengths) else 0

    def missing(self, clip: Clip) -> str:
        """See ``Source``."""
        lengths = zip(self.paths, self._lengths(clip), strict=True)
        return f"no features in {' and '.join(path for path, length in lengths if not length)}"

    def read(self, clip: Clip) -> Streams:
        """See ``Source``."""
        streams = tuple(np.asarray(store[clip.id], np.float32) for store in self.stores)
        for number, (path, stream) in enumerate(zip(self.paths, streams, strict=True)):
            gaps = number == 0 and math.isnan(self.blank)
            if np.isinf(stream).any() or (np.isnan(stream).any() and not gaps):
                what = "infinity" if gaps else "NaN or infinity"
                raise UserError(f"the features of {clip.id} hold {what}, in {path}", fix="extract them again")
        return streams

    def _lengths(self, clip: Clip) -> list[int]:
        return [store.length(clip.id) if clip.id in store else 0 for store in self.stores]


class VideoSource:
    """Windows cut from videos by the extractor of the recipe, as for translating.

    Args:
        manifest: names the videos.
        frontend: the extractor; its model is not loaded here.
    """

    widths: tuple[int, ...] = ()
    blank = 0.0

    def __init__(self, manifest: Manifest, frontend: Frontend) -> None:
        self.manifest, self.frontend = manifest, frontend

    # A process that reads ahead is told each clip, and needs only the folder.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "manifest": replace(self.manifest, clips=())}

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``; by the video's header."""
        return self._measure(clip)[0]

    def missing(self, clip: Clip) -> str:
        """See ``Source``; equal problems have equal words, so that they can be counted."""
        return self._measure(clip)[1]

    def read(self, clip: Clip) -> Windows:
        """See ``Source``."""
        inputs = list(self.frontend.inputs(self.frontend.open(self._where(clip))))
        padding = np.array([one.window.padding if one.window else 0 for one in inputs])
        return Windows(pixels=np.stack([one.content for one in inputs]), padding=padding)

    def _where(self, clip: Clip) -> ClipSource:
        return ClipSource(id=clip.id, path=self.manifest.video_path(clip), start_s=clip.start_s, end_s=clip.end_s)

    def _measure(self, clip: Clip) -> tuple[int, str]:
        """Return the number of feature rows of a clip, and why where that is 0.

        Raises:
            SltError: the machine could not read its video.
        """
        path = self.manifest.video_path(clip)
        if path is None or not path.exists():
            return 0, "no video"
        try:
            span = open_span(path, clip.start_s, clip.end_s)
        except UserError as error:
            return 0, error.message.replace(str(path), "its video")
        if (span.info.n_frames or 1) == 1 and not _shows_anything(span):
            return 0, "no frame of its video between its times"
        geometry = window_geometry(self.frontend.preprocess)
        video = to_working_rate(span, target_fps=geometry.target_fps)
        windows = plan_windows(video.info.n_frames or 1, video.info.fps, geometry)
        return feature_rows(windows, geometry), ""


def _shows_anything(video: Video) -> bool:
    """Return whether there is a frame; a span claims one even where it lies past its video's end."""
    try:
        with closing(video.timed_frames()) as timed:
            next(timed)
    except UserError:
        return False
    return True


class TextSource:
    """Nothing but the text."""

    widths: tuple[int, ...] = ()
    blank = 0.0

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``; characters of its longest text."""
        return max(map(len, texts.values()), default=0)

    def missing(self, clip: Clip) -> str:
        """See ``Source``."""
        return "no text"

    def read(self, clip: Clip) -> None:
        """See ``Source``."""
