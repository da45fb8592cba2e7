"""Where the input of a clip comes from: stored features, its video, or nothing but its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slt.assets.cards import PreprocessCard
from slt.data.features.open import open_features
from slt.data.manifest import Clip, Manifest
from slt.errors import UserError
from slt.recipe.schema import Split
from slt.video.crop import find_signer
from slt.video.rate import to_working_rate
from slt.video.span import open_span
from slt.video.stream import WindowStream, cropped_frames
from slt.video.windows import WindowGeometry, feature_rows, plan_windows


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
        missing: why a clip cannot be learnt from when its length is 0.
        feature_dim: width of the features; 0 where there are none yet.
    """

    missing: str
    feature_dim: int

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """Return how long a clip is, in time steps or characters; 0 when there is nothing of it."""
        ...

    def read(self, clip: Clip) -> NDArray[np.float32] | Windows | None:
        """Return its features (N, feature_dim), its windows, or None."""
        ...


class FeatureSource:
    """Features that were stored before."""

    def __init__(self, split: Split) -> None:
        self.features = open_features(Path(split.features or ""))
        self.feature_dim = self.features.header.feature_dim
        self.missing = f"no features in {split.features}"

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``."""
        return self.features.length(clip.id) if clip.id in self.features else 0

    def read(self, clip: Clip) -> NDArray[np.float32]:
        """See ``Source``."""
        rows = np.asarray(self.features[clip.id], np.float32)
        if not np.isfinite(rows).all():
            raise UserError(f"the features of {clip.id} hold NaN or infinity", fix="extract them again")
        return rows


class VideoSource:
    """Windows cut from the videos by the pipeline that translates."""

    missing = "no video"
    feature_dim = 0

    def __init__(self, manifest: Manifest, preprocess: PreprocessCard, geometry: WindowGeometry) -> None:
        self.manifest, self.preprocess, self.geometry = manifest, preprocess, geometry

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``; by what the video's header claims."""
        path = self.manifest.video_path(clip)
        if path is None or not path.exists():
            return 0
        video = to_working_rate(open_span(path, clip.start_s, clip.end_s), target_fps=self.geometry.target_fps)
        windows = plan_windows(video.info.n_frames or 1, video.info.fps, self.geometry)
        return feature_rows(windows, self.geometry)

    def read(self, clip: Clip) -> Windows:
        """See ``Source``."""
        path = self.manifest.video_path(clip)
        if path is None:
            raise UserError(f"{clip.id} has no video")
        video = to_working_rate(open_span(path, clip.start_s, clip.end_s), target_fps=self.geometry.target_fps)
        signer = find_signer(video, self.preprocess.detector)
        frames = cropped_frames(video, signer, self.preprocess.size)
        cut = list(WindowStream(frames, fps=video.info.fps, geometry=self.geometry))
        padding = np.array([window.padding for window, _ in cut])
        return Windows(pixels=np.stack([pixels for _, pixels in cut]), padding=padding)


class TextSource:
    """Nothing but the text."""

    missing = "no text"
    feature_dim = 0

    def length(self, clip: Clip, texts: Mapping[str, str]) -> int:
        """See ``Source``; characters of its longest text."""
        return max(map(len, texts.values()), default=0)

    def read(self, clip: Clip) -> None:
        """See ``Source``."""
