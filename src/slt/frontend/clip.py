"""A clip to read: where it lies, and its video at the extractor's frame rate with the signer found."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from slt.assets.cards import PreprocessCard
from slt.core.timing import StageTimer
from slt.frontend.usage import CROP
from slt.video.base import Frame, Video
from slt.video.boxes import Box
from slt.video.cache import CACHE_BYTES, CachedVideo
from slt.video.crop import SignerBox, crop_resize, find_signer
from slt.video.keypoints import Holistic
from slt.video.pose_file import keypoints_of, pose_beside
from slt.video.rate import to_working_rate
from slt.video.stream import cropped_frames

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Where one clip lies: a video or keypoint file, or a segment of one.

    Attributes:
        id: of the clip.
        path: of its video or keypoint file; None: the manifest names none.
        start_s: frames from then on, in seconds since the video's first frame; None: the beginning.
        end_s: frames before then; None: the end.
        pose: keypoint file of the whole video; None: keypoints are detected.
        pose_was_found: ``pose`` was found beside the video, not named by the user.
    """

    id: str
    path: Path | None
    start_s: float | None = None
    end_s: float | None = None
    pose: Path | None = None
    pose_was_found: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        id: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        pose: Path | None = None,
    ) -> ClipSource:
        """Return a clip of a video named alone; without ``pose``, the ``.pose`` file beside the video is used."""
        beside = pose_beside(path) if pose is None else None
        return cls(
            id=id or str(path),
            path=path,
            start_s=start_s,
            end_s=end_s,
            pose=pose or beside,
            pose_was_found=beside is not None,
        )


class OpenClip:
    """A clip at the extractor's frame rate, and where the signer is; counts the frames that are read.

    Args:
        video: at the extractor's frame rate.
        signer: position of the signer in it.
        crops: the signer's crops, (size, size, 3) uint8 each, when they were cut before.

    Attributes:
        clock: measures what reading it spends on cropping.
    """

    def __init__(self, video: Video, signer: SignerBox, crops: Iterable[Frame] | None = None) -> None:
        self.video = video
        self.signer = signer
        self.n_frames = 0
        self.clock = StageTimer()
        self._crops = crops

    def frames(self) -> Generator[Frame, None, None]:
        """Yield whole frames, (H, W, 3) uint8 RGB."""
        with closing(self.video.frames()) as frames:
            yield from self._counted(frames)

    def crops(self, size: int) -> Generator[Frame, None, None]:
        """Yield the signer's crop of each frame, (size, size, 3) uint8 RGB."""
        if self._crops is not None:
            yield from self._counted(self._crops)
            return
        with closing(cropped_frames(self.video, self.signer, size, self._cut)) as frames:
            yield from self._counted(frames)

    def keypoints(self, holistic: Any = Holistic) -> Generator[NDArray[np.float32], None, None]:
        """Yield the keypoints of each frame, (225,) float32, NaN where not detected; see ``keypoints_of``."""
        with closing(keypoints_of(self.video, holistic)) as keypoints:
            yield from self._counted(keypoints)

    def _cut(self, frame: Frame, box: Box, size: int) -> Frame:
        with self.clock(CROP):
            return crop_resize(frame, box, size)

    def _counted(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.n_frames += 1
            yield item


def at_rate(
    video: Video, preprocess: PreprocessCard, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES
) -> OpenClip:
    """Bring a video to the frame rate of ``preprocess``, and find the signer with its detector."""
    cached = CachedVideo(to_working_rate(video, target_fps=preprocess.target_fps), cache_bytes)
    return OpenClip(cached, signer or find_signer(cached, preprocess.detector))
