"""Read a folder of frames as a video."""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import partial
from pathlib import Path

import numpy as np

from slt.core.errors import UserError
from slt.video.base import Frame, Picture, Video, VideoInfo
from slt.video.oserrors import explain_os_error

FPS = 25.0
"""Frames per second of a folder: nothing in it says so, and PHOENIX-2014-T's are."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def open_folder(path: Path) -> Video:
    """Open a folder whose images, in natural order (2 before 10), are the frames.

    Raises:
        UserError: no image in it, no permission, or the first one is unreadable.
    """
    try:
        files = list(path.iterdir())
    except OSError as error:
        raise explain_os_error(path, error) from error
    images = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    images.sort(key=lambda file: _natural(file.name))
    if not images:
        raise UserError(
            f"the folder {path} holds no images, expected frames such as 0001.png or 0001.jpg",
            fix="give the folder that holds the frames themselves, or a video file",
        )
    height, width = _read(images[0]).shape[:2]
    info = VideoInfo(path=path, fps=FPS, n_frames=len(images), height=height, width=width)
    return FolderVideo(info, images)


class FolderVideo(Video):
    """The images of a folder, one after another.

    Args:
        info: what is known of it.
        images: the frames' files in order.
    """

    def __init__(self, info: VideoInfo, images: list[Path]) -> None:
        super().__init__(info)
        self._images = images

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame).

        Raises:
            UserError: an image is unreadable or of another size than the first.
        """
        yield from self.frames_from(0.0)

    def frames_from(self, start_s: float) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame) of the frames shown at ``start_s`` or later; those before are not read.

        Raises:
            UserError: an image is unreadable or of another size than the first.
        """
        for index, image in enumerate(self._images):
            if index / self.info.fps >= start_s:
                yield index / self.info.fps, self._frame(image)

    def timed_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (seconds, picture); an image is read when its pixels are asked for, which may raise as above."""
        for index, image in enumerate(self._images):
            yield index / self.info.fps, Picture(pixels=partial(self._frame, image), n_bytes=0)

    def _frame(self, image: Path) -> Frame:
        """Read one image, which is of the first one's size."""
        height, width = self.info.height, self.info.width
        frame = _read(image)
        if frame.shape != (height, width, 3):
            raise UserError(
                f"{image} is {frame.shape[1]}x{frame.shape[0]}, expected {width}x{height} like "
                f"{self._images[0].name}: the frames of a video are of one size",
                fix="put the frames of different videos into different folders",
            )
        return frame


def _read(image: Path) -> Frame:
    """Read one image as (H, W, 3) uint8 RGB."""
    import cv2

    try:
        data = np.frombuffer(image.read_bytes(), dtype=np.uint8)
        # IMREAD_COLOR turns a photo upright, drops alpha and brings 16 bits down to 8.
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise explain_os_error(image, error) from error
    except cv2.error as error:
        raise UserError(f"the frame {image} could not be decoded: {error.err}", fix="replace the image") from error
    if pixels is None:
        raise UserError(
            f"the frame {image} is not an image that can be read ({data.size} bytes)",
            fix="replace it, or remove it from the folder",
        )
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key under which frame2 comes before frame10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
