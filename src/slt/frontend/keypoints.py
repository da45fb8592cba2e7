"""The joints of body and hands as features: 75 joints with x, y and z are 225 numbers for every frame."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.assets.store import find_bundle
from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.extract.jobs import Job
from slt.frontend.base import Extractor, Notes, Piece, Settings, video_of
from slt.frontend.streams import bundle_streams, keypoint_stream
from slt.pipeline.translator import BESIDE
from slt.video.keypoints import N_JOINTS, Holistic
from slt.video.pose_file import joints_of, open_posed, pose_beside
from slt.video.rate import to_working_rate

FRAMES_PER_PIECE = 256


class KeypointExtractor(Extractor):
    """Frames to joints by MediaPipe Holistic, on the CPU; or joints as a ``.pose`` file has them.

    Features are (T, 225) float32: x and y from 0 to 1 across the picture, z in picture widths; NaN where a joint is not
    seen. The whole picture is looked at: Holistic finds the person itself.

    Raises:
        UserError: a detector was asked for, or a model that does not read keypoints.
    """

    at_once = 1

    def __init__(self, settings: Settings) -> None:
        card = find_bundle(settings.model).card if settings.model else None
        streams = (
            [keypoint_stream()] if card is None else [one for one in bundle_streams(card) if one.kind == "keypoints"]
        )
        if settings.detector or not streams:
            unread = f", and the model {card.name} does not read them" if card and not streams else ""
            raise UserError(
                f"keypoints come from MediaPipe Holistic, which finds the signer itself{unread}",
                fix="leave --model and --detector away",
            )
        self._target_fps = streams[0].geometry["target_fps"]
        self.header = StoreHeader(
            feature_dim=N_JOINTS * 3,
            dtype="float32",  # float16 would move a joint by half a pixel in a picture of 1920
            extractor=streams[0].kind,
            geometry=streams[0].geometry,
        )
        self._of_thread = threading.local()

    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Yield one clip's joints, some seconds at a time."""
        path = job.path or job.pose or video_of(job)
        opened = open_posed(path, job.start_s, job.end_s, pose=job.pose, pictures=False)
        video = to_working_rate(opened, target_fps=self._target_fps)
        if _is_beside(job):
            notes.append(BESIDE)
        n_seen = 0
        with closing(joints_of(video, self._holistic)) as joints:
            while rows := list(islice(joints, FRAMES_PER_PIECE)):
                n_seen += bool(np.isfinite(rows).any())
                yield Piece(content=np.stack(rows), n_frames=len(rows), seconds=len(rows) / video.info.fps)
        notes += video.warnings
        if not n_seen:
            raise UserError(
                f"{job.pose or path}: nobody is seen in any frame of {job.id}",
                fix="look at the video, and leave it out",
            )

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return what the pieces are already: Holistic runs where the video is decoded."""
        return [piece.content for piece in pieces]

    @contextmanager
    def _holistic(self) -> Iterator[Holistic]:
        """Lend this thread's own Holistic, ready for another video."""
        here: Any = self._of_thread
        if not hasattr(here, "holistic"):
            here.holistic = Holistic()
        else:
            here.holistic.restart()
        yield here.holistic


def _is_beside(job: Job) -> bool:
    """Tell whether a whole video's joints are read from the ``.pose`` file of its name, which maybe nobody named."""
    if job.path is None or job.pose is None or (job.start_s, job.end_s) != (None, None):
        return False
    return job.pose == pose_beside(job.path)
