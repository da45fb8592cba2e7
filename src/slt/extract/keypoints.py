"""The joints of body and hands as features: 75 joints with x, y and z are 225 numbers for every frame."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.data.features.header import StoreHeader
from slt.errors import UserError
from slt.extract.base import Counted, Extractor, Notes, Piece, Settings, video_of
from slt.extract.jobs import Job
from slt.video.keypoints import N_JOINTS, Holistic, read_pose
from slt.video.rate import KEPT, to_working_rate
from slt.video.span import open_span

TARGET_FPS = 25.0
FRAMES_PER_PIECE = 256


class KeypointExtractor(Extractor):
    """Frames to joints by MediaPipe Holistic, on the CPU; or joints as a ``.pose`` file has them.

    Features are (T, 225) float32: x and y from 0 to 1 across the picture, z in picture widths; NaN where a joint is not
    seen. The whole picture is looked at: Holistic finds the person itself.

    Raises:
        UserError: a model or a detector was asked for.
    """

    at_once = 1

    def __init__(self, settings: Settings) -> None:
        if settings.model or settings.detector:
            raise UserError(
                "keypoints come from MediaPipe Holistic, which finds the signer itself",
                fix="leave --model and --detector away",
            )
        self.header = StoreHeader(
            feature_dim=N_JOINTS * 3,
            dtype="float32",  # float16 would move a joint by half a pixel in a picture of 1920
            extractor="keypoints",
            geometry={"model": "mediapipe-holistic-1", "target_fps": TARGET_FPS},
        )
        self._of_thread = threading.local()

    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Yield one clip's joints, some seconds at a time."""
        path = job.pose or video_of(job)
        n_seen = 0
        for piece in self._of_file(job, path) if path.suffix.lower() == ".pose" else self._of_video(job, notes):
            n_seen += bool(np.isfinite(piece.content).any())
            yield piece
        if not n_seen:
            raise UserError(
                f"{path}: nobody is seen in any frame of {job.id}", fix="look at the video, and leave it out"
            )

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return what the pieces are already: Holistic runs where the video is decoded."""
        return [piece.content for piece in pieces]

    def _of_video(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        video = to_working_rate(open_span(video_of(job), job.start_s, job.end_s), target_fps=TARGET_FPS)
        holistic = self._holistic()
        with closing(video.frames()) as decoded:
            frames = Counted(decoded, video.info.fps)
            rows: list[NDArray[np.float32]] = []
            for frame in frames:
                rows.append(holistic(frame).reshape(-1))
                if len(rows) == FRAMES_PER_PIECE:
                    yield frames.piece(np.stack(rows))
                    rows = []
            if rows:
                yield frames.piece(np.stack(rows))
        notes += video.warnings

    def _of_file(self, job: Job, path: Path) -> Generator[Piece, None, None]:
        pose = read_pose(path)
        edges = (job.start_s, job.end_s)
        span = slice(*(None if edge is None else math.ceil(edge * pose.fps - 1e-6) for edge in edges))
        rows = at_working_rate(pose.keypoints.reshape(len(pose.keypoints), -1)[span], pose.fps)
        if len(rows):
            yield Piece(content=rows, n_frames=len(rows), seconds=len(rows) / pose.fps)

    def _holistic(self) -> Holistic:
        """Return this thread's own Holistic, ready for another video."""
        here: Any = self._of_thread
        if not hasattr(here, "holistic"):
            here.holistic = Holistic()
        else:
            here.holistic.restart()
        return here.holistic


def at_working_rate(rows: NDArray[np.float32], fps: float) -> NDArray[np.float32]:
    """Return the rows of a clip at a rate near 25 per second: as they are from 20 to 30, else the nearest ones."""
    if KEPT[0] * TARGET_FPS <= fps <= KEPT[1] * TARGET_FPS or not len(rows):
        return rows
    count = max(1, round(len(rows) / fps * TARGET_FPS))
    return rows[np.minimum((np.arange(count) + 0.5) * fps / TARGET_FPS, len(rows) - 1).astype(int)]
