"""Small videos to test with: encoded for real, or made up frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from slt.video.base import Frame, Video, VideoInfo

MILLISECOND = Fraction(1, 1000)
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


def picture(number: int, size: tuple[int, int] = (48, 64)) -> Frame:
    """Draw a frame whose corners say which way is up, and whose grey says which frame it is (up to 40)."""
    height, width = size
    frame = np.full((height, width, 3), 20 + 5 * number, dtype=np.uint8)
    frame[: height // 4, : width // 4] = RED
    frame[: height // 4, width - width // 4 :] = GREEN
    frame[height - height // 4 :, : width // 4] = BLUE
    return frame


def number_of(frame: Frame) -> int:
    """Read the number of a ``picture`` back, whatever the codec did to it."""
    height, width = frame.shape[:2]
    middle = frame[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8]
    return round((float(middle.mean()) - 20) / 5)


def write_film(
    path: Path,
    *,
    n: int = 12,
    size: tuple[int, int] = (48, 64),
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    at_ms: Callable[[int], int] | None = None,
    turn: tuple[int, bool, bool] | None = None,
    sound: bool = False,
    muxer: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Encode ``picture(0)`` to ``picture(n - 1)``.

    Args:
        path: where to; its suffix decides the container.
        n: frames.
        size: height and width.
        fps: frames per second.
        codec: FFmpeg's name of the encoder.
        pix_fmt: its pixel format.
        at_ms: when each frame is shown; evenly when None.
        turn: rotation (degrees counter-clockwise), horizontal and vertical mirroring a player must apply.
        sound: add a silent sound track.
        muxer: options of the container.
        encoder: options of the codec; the fastest H.264 when None.
        pixel_aspect: width by height of a pixel as it is shown.
    """
    with av.open(str(path), "w", options=muxer or {}) as container:
        fast = {"preset": "ultrafast"} if codec == "libx264" else {}
        video = container.add_stream(codec, rate=fps, options=fast if encoder is None else encoder)
        video.height, video.width, video.pix_fmt = *size, pix_fmt
        video.codec_context.thread_count = 1
        video.bit_rate = 4_000_000
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if at_ms is not None:
            video.time_base = video.codec_context.time_base = MILLISECOND
        if turn is not None:
            video.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        audio = container.add_stream("aac", rate=44100) if sound else None
        for number in range(n):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            if at_ms is not None:
                frame.pts, frame.time_base = at_ms(number), MILLISECOND
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux([packet for chunk in silence() for packet in audio.encode(chunk)])
            container.mux(audio.encode(None))
    return path


def silence(n_chunks: int = 4) -> Generator[av.AudioFrame, None, None]:
    """Yield a little sound in which nothing is heard."""
    for index in range(n_chunks):
        chunk = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        chunk.sample_rate, chunk.pts = 44100, 1024 * index
        yield chunk


def draw_face(frame: Frame, x: int, y: int, radius: int) -> None:
    """Draw a face that a face detector takes for one."""

    def at(dx: float, dy: float) -> tuple[int, int]:
        return x + round(radius * dx), y + round(radius * dy)

    def axes(*shares: float) -> tuple[int, ...]:
        return tuple(max(round(radius * share), 1) for share in shares)

    cv2.ellipse(frame, at(0, 0), axes(0.78, 1), 0, 0, 360, (205, 160, 130), -1)
    for side in (-0.36, 0.36):
        cv2.ellipse(frame, at(side, -0.18), axes(0.17, 0.09), 0, 0, 360, (245, 245, 245), -1)
        cv2.circle(frame, at(side, -0.18), *axes(0.08), (40, 25, 20), -1)
        cv2.ellipse(frame, at(side, -0.38), axes(0.22, 0.05), 0, 180, 360, (70, 45, 30), *axes(0.06))
    cv2.ellipse(frame, at(0, 0.15), axes(0.12, 0.2), 0, 20, 160, (150, 100, 80), *axes(0.06))
    cv2.ellipse(frame, at(0, 0.5), axes(0.3, 0.1), 0, 0, 360, (150, 60, 60), -1)
    cv2.ellipse(frame, at(0, -0.5), axes(0.85, 0.6), 0, 180, 360, (50, 35, 25), -1)


class MadeUp(Video):
    """A video that exists in memory only; counts how often it is read.

    Args:
        frames: its frames.
        fps: its rate.
        times: when each frame is shown, in seconds; evenly when None.
        warnings: what it is born with.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        *,
        fps: float = 25.0,
        times: Sequence[float] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        height, width = frames[0].shape[:2]
        super().__init__(
            VideoInfo(path=Path("made-up"), fps=fps, n_frames=len(frames), height=height, width=width), warnings
        )
        self._frames = frames
        self._times = [index / fps for index in range(len(frames))] if times is None else times
        self.readings = 0
        self.frames_read = 0

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame)."""
        self.readings += 1
        for timed in zip(self._times, self._frames, strict=True):
            self.frames_read += 1
            yield timed


def numbered(n: int, **about: object) -> MadeUp:
    """Make up a video of ``n`` tiny frames, each filled with its number, as two bytes."""
    frames = [np.full((1, 1, 3), (index // 256, index % 256, 0), dtype=np.uint8) for index in range(n)]
    return MadeUp(frames, **about)  # type: ignore[arg-type]


def numbers(video: Video) -> list[int]:
    """Read the frame numbers of a ``numbered`` video."""
    return [int(frame[0, 0, 0]) * 256 + int(frame[0, 0, 1]) for frame in video.frames()]
