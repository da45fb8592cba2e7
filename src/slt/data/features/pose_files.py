"""Export keypoints as ``.pose`` files, which the tools of pose-format read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.data.features.writer import UnfitError
from slt.video.keypoints import N_JOINTS, PoseFile, write_pose

SKELETON = "mediapipe-75"
SIZE = (1024, 1024)
"""Powers of two: positions in pixels come back as the same shares of the picture, to the bit."""
FPS = 25.0


class PoseWriter:
    """Writes one clip's keypoints as a ``.pose`` file.

    Args:
        header: of the store.
        where: the store, for the error.
        size: (width, height) of the videos in pixels, which a store does not hold.
        fps: frames per second of the videos; None: what the extractor brings them to.

    Attributes:
        fps: what the files will say.

    Raises:
        UserError: the store holds something else than MediaPipe's 75 joints in shares of the picture.
    """

    def __init__(
        self, header: StoreHeader, where: Path, *, size: tuple[int, int] | None = None, fps: float | None = None
    ) -> None:
        skeleton, unit = header.geometry.get("skeleton", SKELETON), header.geometry.get("unit", "picture")
        if header.feature_dim != 3 * N_JOINTS or header.extractor not in (None, "keypoints") or skeleton != SKELETON:
            of_whom = f" of {header.geometry['skeleton']}" if "skeleton" in header.geometry else ""
            raise UserError(
                f"{where} holds {header.extractor or 'features'}{of_whom}, {header.feature_dim} wide; .pose files are"
                f" written of keypoints of {SKELETON}, {3 * N_JOINTS} wide",
                fix="extract keypoints with --extractor keypoints, or convert them: slt features import STORE --help",
            )
        if unit == "pixels":
            raise UserError(f"{where} holds positions in pixels, expected shares of the picture")
        self.fps = fps or float(header.geometry.get("target_fps", FPS))
        self._width, self._height = size or SIZE

    def __call__(self, path: Path, rows: NDArray[Any]) -> None:
        """Write the keypoints of a clip, (T, 225).

        Raises:
            UnfitError: joints of which only some of x, y and z are known: the format has them whole or not at all.
            SltError: the file cannot be written.
        """
        joints = rows.reshape(-1, N_JOINTS, 3).astype(np.float32)
        known = np.isfinite(joints).sum(2)
        if n_partly := int(((known > 0) & (known < 3)).sum()):
            raise UnfitError(f"{n_partly} joints have no depth, or only some of x, y and z, which .pose cannot express")
        write_pose(path, PoseFile(keypoints=joints, fps=self.fps, height=self._height, width=self._width))
