"""Decode a video file by FFmpeg through PyAV."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slt.core.errors import SltError, UserError
from slt.video.base import Frame, Picture, Video, VideoInfo
from slt.video.header import Header, is_animated_webp, packets_of, read_header
from slt.video.orient import Turn, turn_of
from slt.video.oserrors import explain_os_error

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

# Twice 8K: a header that asks for more is broken or malicious, and one such frame would fill 200 MB.
MAX_PIXELS = 8192 * 8192

# Formats that lead exactly to a place in the file, by an index; in others all before it is decoded.
INDEXED = ("mp4", "matroska")
# An index may be by the order of decoding and lead to a key frame shown later: then an earlier place is tried.
JUMPS_S = (0.0, 1.0, 10.0)

# Formats that make FFmpeg open other files or the network on a file's behalf. A video does neither.
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"})


def open_file(path: Path) -> Video:
    """Open a video file and decode its first frame.

    Raises:
        UserError: not a video, only sound, an unknown codec, or no frame that can be decoded.
    """
    with _opened(path) as container:
        header = read_header(path, container)
    damage = Damage()
    with _opened(path) as container:
        first = next(_decoded(container, header.stream, damage), None)
    if first is None and is_animated_webp(path):
        raise UserError(
            f"{path} is an animated WebP, which FFmpeg cannot decode; expected mp4, webm, mov, mkv, avi or gif",
            fix="convert it first, for example by ImageMagick: convert IN.webp OUT.gif",
        )
    if first is None:
        claim = "no frame" if header.n_frames is None else f"none of its {header.n_frames} frames"
        raise UserError(
            f"{path}: {claim} could be decoded: it is truncated or damaged, or asks for over {MAX_PIXELS:,} pixels",
            fix="copy or download it again; if it is that large: ffmpeg -i IN -vf scale=1280:-2 OUT.mp4",
        )
    turn = _turn(first)
    first_s = _time(first, 0.0)
    height, width = turn.size(*_shown_size(first.height, first.width, header.pixel_aspect))
    n_frames = header.n_packets if header.n_frames is None else header.n_frames
    info = VideoInfo(path=path, fps=header.fps, n_frames=n_frames, height=height, width=width)
    video = FileVideo(info, header, turn, first_s, (first.height, first.width))
    if (height, width) != turn.size(first.height, first.width):
        aspect = header.pixel_aspect
        video.warn(
            f"its pixels are not square ({aspect.numerator}:{aspect.denominator}): "
            f"{first.width}x{first.height} as stored is shown as {width}x{height}"
        )
    return video


class Damage:
    """What could not be decoded on one way through a file."""

    def __init__(self) -> None:
        self.pieces = 0


class FileVideo(Video):
    """A video file.

    Args:
        info: what is known of it.
        header: what it claims.
        turn: how its pictures are turned upright.
        first_s: when its first frame is shown, in the file's own seconds.
        stored: (height, width) of its first frame as stored.
    """

    def __init__(self, info: VideoInfo, header: Header, turn: Turn, first_s: float, stored: tuple[int, int]) -> None:
        super().__init__(info, header.warnings)
        self._header = header
        self._turn = turn
        self._first_s = first_s
        self._stored = stored

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds, frame), alpha dropped, pixels square.

        Damaged pieces are left out and what is missing at the end is noticed; both become warnings.

        Raises:
            UserError: the file has vanished or changed since it was opened, or the disk gives it no longer.
        """
        with closing(self.timed_pictures()) as timed:
            for time, picture in timed:
                yield time, picture.pixels()

    def timed_pictures(self) -> Generator[tuple[float, Picture], None, None]:
        """Yield (seconds, picture) of what ``timed_frames`` yields.

        Raises:
            UserError: as ``timed_frames``.
        """
        damage = Damage()
        count, ends, lasts = 0, 0.0, 0.0
        with _opened(self.info.path) as container:
            for time, lasts, picture in self._shown(_decoded(container, self._header.stream, damage)):
                count, ends = count + 1, time + lasts
                yield time, picture
        self._report(damage, self._header.missing(count, ends, lasts, self._first_s))

    def frames_from(self, start_s: float) -> Generator[tuple[float, Frame], None, None]:
        """Yield (seconds since the file's first frame, frame) of the frames shown at ``start_s`` or later.

        Where the file's format allows it, decoding begins at the last key frame before; nothing is then said about
        what is missing at the file's end.

        Raises:
            UserError: the file has vanished or changed since it was opened, or the disk gives it no longer.
        """
        at_s = self._first_s + start_s
        for earlier_s in JUMPS_S if start_s > 0 else ():
            damage = Damage()
            with _opened(self.info.path) as container:
                jumped = _jumped(container, self._header.stream, at_s, at_s - earlier_s, damage)
                if jumped is not None:
                    for time, _, picture in self._shown(jumped, start_s):
                        yield time, picture.pixels()
                    self._report(damage, None)
                    return
        yield from super().frames_from(start_s)

    def _shown(
        self, decoded: Iterable[VideoFrame], start_s: float = 0.0
    ) -> Generator[tuple[float, float, Picture], None, None]:
        """Yield (seconds since the file's first frame, seconds it lasts at least, picture) from ``start_s`` on."""
        size = self._turn.size(self.info.height, self.info.width)
        lasts = 1 / self.info.fps
        before: float | None = None
        for one in decoded:
            time = _time(one, self._first_s if before is None else before + lasts)
            lasts = 1 / self.info.fps if before is None else max(time - before, 1 / self.info.fps)
            before = time
            if time - self._first_s >= start_s:
                n_bytes = sum(plane.buffer_size for plane in one.planes)
                picture = Picture(pixels=partial(self._pixels, one, size), n_bytes=n_bytes)
                yield time - self._first_s, lasts, picture

    def _pixels(self, decoded: VideoFrame, size: tuple[int, int]) -> Frame:
        """Return an upright (H, W, 3) uint8 RGB frame of ``size`` (height, width before the turn)."""
        height, width = size
        if (decoded.height, decoded.width) != self._stored:
            stored, now = (f"{wide}x{high}" for high, wide in (self._stored, (decoded.height, decoded.width)))
            self.warn(f"the picture changes its size from {stored} to {now}: later frames are resized")
        with _explained(self.info.path):
            pixels = np.asarray(decoded.to_ndarray(format="rgb24", width=width, height=height), dtype=np.uint8)
        return np.ascontiguousarray(self._turn.apply(pixels))

    def _report(self, damage: Damage, missing: str | None) -> None:
        """Warn about what was lost."""
        if damage.pieces:
            self.warn(f"damaged pieces of the file that could not be decoded and were left out: {damage.pieces}")
        if missing:
            self.warn(missing)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open ``path`` for reading, close it in the end; every FFmpeg error on the way becomes one of ours."""
    import av

    # torchvision, once it is imported, makes FFmpeg log through Python. A decoder's thread that has something to
    # say then waits for the interpreter's lock, and who holds the lock waits for that thread to end: for ever.
    av.logging.set_level(None)
    # "file:" keeps a colon in a name from being read as a protocol.
    name = f"file:{path}"
    options = {"format_whitelist": _formats(), "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    with _explained(path), av.open(name, options=options, metadata_errors="replace") as container:
        yield container


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Convert FFmpeg errors raised in the block into errors of slt."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: Exception) -> SltError:
    """Turn an FFmpeg error into one that says what to do."""
    if isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
        return explain_os_error(path, error)
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(
        f"{path} is not a video that FFmpeg can read ({reason}), expected mp4, webm, mov, mkv, avi, gif or the like",
        fix="if it should be one, it is truncated or damaged: copy, download or record it again",
    )


@cache
def _formats() -> str:
    """Return the names of the file formats FFmpeg may try, playlists left out."""
    import av

    return ",".join(sorted(av.formats_available - PLAYLISTS))


def _decoded(container: InputContainer, index: int, damage: Damage) -> Generator[VideoFrame, None, None]:
    """Yield the decodable frames of a stream; count what is damaged."""
    from av.error import FFmpegError

    stream = container.streams.video[index]
    stream.thread_type = "AUTO"
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    for packet in _packets(container, stream, damage):
        try:
            frames = stream.codec_context.decode(packet)
        except FFmpegError:
            damage.pieces += 1
        else:
            yield from frames


def _jumped(
    container: InputContainer, index: int, at_s: float, to_s: float, damage: Damage
) -> Iterator[VideoFrame] | None:
    """Return the frames from a key frame at or before ``at_s`` on, None when none was found by a jump to ``to_s``."""
    from av.error import FFmpegError

    stream = container.streams.video[index]
    if not any(name in container.format.name for name in INDEXED) or stream.time_base is None:
        return None
    try:
        container.seek(math.floor(to_s / stream.time_base), stream=stream)
    except FFmpegError:
        return None
    frames = _decoded(container, index, damage)
    # What comes before the first key frame lacks the pictures it is made from.
    first = next((frame for frame in frames if frame.key_frame), None)
    return None if first is None or _time(first, math.inf) > at_s else chain([first], frames)


def _packets(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Generator[Packet[VideoStream] | None, None, None]:
    """Yield a stream's packets as far as they can be read; the last one drains the decoder."""
    from av.error import InvalidDataError

    try:
        yield from packets_of(container, stream)
    except InvalidDataError:
        damage.pieces += 1
        yield None


def _time(frame: VideoFrame, expected: float) -> float:
    """Return a frame's time in seconds, ``expected`` where it has none."""
    # Frames drained after an error have lost their unit of time, and PyAV makes that "not a number".
    return expected if frame.time is None or not math.isfinite(frame.time) else frame.time


def _shown_size(height: int, width: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return (height, width) with square pixels, by lengthening the shorter side of each."""
    shown = (height, round(width * pixel_aspect)) if pixel_aspect >= 1 else (round(height / pixel_aspect), width)
    return shown if shown[0] * shown[1] <= MAX_PIXELS else (height, width)


def _turn(frame: VideoFrame) -> Turn:
    """Return how a frame is turned upright."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")  # its type stub says object
    return Turn() if matrix is None else turn_of(np.frombuffer(matrix, dtype=np.int32).tolist())
