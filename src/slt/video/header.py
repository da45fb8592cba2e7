"""Validate what a video file's header claims."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from slt.core.errors import UserError

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer

PLAUSIBLE_FPS = (0.01, 1000.0)
FALLBACK_FPS = 25.0
PLAUSIBLE_ASPECT = 8
NEARLY_SQUARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of a file's video before it is decoded.

    Attributes:
        stream: which of the file's video streams.
        fps: frames per second.
        n_frames: frames claimed, None where the file is silent.
        n_packets: pieces counted where the file is silent, None elsewhere.
        duration_s: length claimed for the video stream alone, None where the file is silent.
        from_zero: ``duration_s`` counts from the file's time 0 and not from the first frame, which may come later.
        pixel_aspect: width by height of a pixel as it is shown.
        warnings: what had to be assumed.
    """

    stream: int
    fps: float
    n_frames: int | None
    n_packets: int | None
    duration_s: float | None
    from_zero: bool = False
    pixel_aspect: Fraction = Fraction(1)
    warnings: tuple[str, ...] = ()

    def missing(self, n_frames: int, duration_s: float, last_s: float, first_s: float = 0.0) -> str | None:
        """Describe what the file promised and did not hold, None when all is there.

        Args:
            n_frames: frames decoded.
            duration_s: seconds they cover.
            last_s: seconds the last of them covers.
            first_s: time of the first of them in the file.
        """
        end_s = duration_s + (first_s if self.from_zero else 0.0)
        # An edit list hides frames on purpose: a mov file that covers its length is whole whatever it counts.
        short = self.duration_s is not None and end_s < self.duration_s - 0.5 * last_s
        if self.n_frames is not None and n_frames < self.n_frames and (short or self.duration_s is None):
            return f"the file says {self.n_frames} frames, {n_frames} could be decoded: it is truncated"
        if self.n_frames is None and short:
            return f"the file says {self.duration_s:.2f} s, {duration_s:.2f} s could be decoded: it is truncated"
        return None


def read_header(path: Path, container: InputContainer) -> Header:
    """Choose the video stream and read what the file says about it.

    Files without a frame count (webm, mkv, ts, fragmented mp4) are scanned once, without decoding: what they say of
    their rate is a guess from the first packets, and a browser's recordings say nothing at all.

    Raises:
        UserError: no video in it, or an unknown codec.
    """
    stream = _video_stream(path, container)
    n_frames = stream.frames if stream.frames > 0 else None
    duration = _claimed_duration(container, stream)
    n_packets, measured = None, None
    if n_frames is None:
        n_packets, measured = _scan(container, stream)
    elif stream.duration and stream.time_base:
        measured = n_frames / float(stream.duration * stream.time_base)
    fps = _choose_rate(stream, measured, counted=n_frames is not None)
    warnings = []
    if fps is None:
        warnings.append(f"the file does not say how many frames per second it has: {FALLBACK_FPS:.4g} assumed")
    if container.format.name == "gif" and not _ends_like_a_gif(path):
        warnings.append("the file lacks a gif's end mark: it is truncated")
    return Header(
        stream=container.streams.video.index(stream),
        fps=fps or FALLBACK_FPS,
        n_frames=n_frames,
        n_packets=n_packets,
        duration_s=duration,
        from_zero="matroska" in container.format.name,
        pixel_aspect=_pixel_aspect(stream),
        warnings=tuple(warnings),
    )


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the stream to decode; a song's cover picture is not a video."""
    from av.stream import Disposition

    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        held = {"sound": container.streams.audio, "a cover picture": container.streams.video}
        only = " and ".join(what for what, streams in held.items() if streams)
        raise UserError(
            f"{path} holds no video, only {only}" if only else f"{path} holds no video",
            fix="give a file with a moving picture; if this should be one, it is truncated or damaged",
        )
    best = container.streams.best("video")
    stream = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    if stream.codec_context is None:
        raise UserError(
            f"{path}: its video is in a format that FFmpeg cannot decode",
            fix="convert it to H.264 first: ffmpeg -i IN -c:v libx264 OUT.mp4",
        )
    return stream


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield a stream's packets, at the end an empty one that drains the decoder.

    Raises:
        FFmpegError: what comes next is broken.
    """
    try:
        yield from container.demux(stream)
    except IndexError:
        # PyAV stumbles at the very end over streams that a transport stream announced late.
        return


def _claimed_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the seconds the file itself states for this stream; FFmpeg's own estimates are no claims."""
    if container.format.name.startswith("mov") and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _pixel_aspect(stream: VideoStream) -> Fraction:
    """Return width by height of a pixel; 1 where the file is silent, implausible, or within a hundredth of square."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not 1 / PLAUSIBLE_ASPECT <= aspect <= PLAUSIBLE_ASPECT or abs(aspect - 1) < NEARLY_SQUARE:
        return Fraction(1)
    return Fraction(aspect)


def is_animated_webp(path: Path) -> bool:
    """Return whether a file is a WebP whose header says that it moves."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def _ends_like_a_gif(path: Path) -> bool:
    """Return whether a gif holds its end mark: a gif counts no frames, and this is all that shows it is whole."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        # Some programs pad the end, so the very last byte is not always it.
        return b"\x00;" in file.read()


def _scan(container: InputContainer, stream: VideoStream) -> tuple[int, float | None]:
    """Count the stream's packets and measure their rate by their timestamps, without decoding."""
    from av.error import FFmpegError

    count, decoding, showing = 0, _Clock(), _Clock()
    try:
        for packet in packets_of(container, stream):
            if packet.size:
                count += 1
                decoding.tick(packet.dts)
                showing.tick(packet.pts)
    except FFmpegError:
        # Whatever is broken further on is met again, and reported, when the frames are decoded.
        pass
    # Times of decoding come in order; those of showing do not, but are sometimes all there is.
    clock = decoding if decoding.steps else showing
    if not clock.steps or not stream.time_base:
        return count, None
    return count, clock.steps / float(clock.ticks * stream.time_base)


class _Clock:
    """The mean step of a row of timestamps."""

    def __init__(self) -> None:
        self.steps = 0
        self.ticks = 0
        self._before: int | None = None

    def tick(self, stamp: int | None) -> None:
        """Take one step; one backwards, where recordings are joined, measures nothing."""
        if stamp is None:
            return
        if self._before is not None and stamp > self._before:
            self.steps, self.ticks = self.steps + 1, self.ticks + stamp - self._before
        self._before = stamp


def _choose_rate(stream: VideoStream, measured: float | None, *, counted: bool) -> float | None:
    """Return the most credible frame rate, None when there is none.

    Args:
        stream: says two rates: the one its timestamps fit, and an average.
        measured: frames by seconds, None when unknown.
        counted: the file states its frames, so its average is exact and the measure may include hidden frames.
    """
    low, high = PLAUSIBLE_FPS
    rates = [float(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    claims = [rate for rate in rates if low <= rate <= high]
    if measured is None or not low <= measured <= high:
        return claims[-1] if claims else None
    nearest = min(claims, key=lambda rate: abs(rate - measured), default=measured)
    # Timestamps are rounded; a claim that agrees with them is the exact number.
    return nearest if counted or abs(nearest - measured) <= 0.01 * measured else measured
