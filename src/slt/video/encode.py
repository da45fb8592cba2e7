"""Write a video, or a segment of one, as an H.264 file."""

from __future__ import annotations

import math
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from slt.core.files import atomic_write
from slt.video.base import Video

# With more threads, or with the macroblock tree, x264 does not write the same bytes every time.
ENCODING = {"crf": "18", "preset": "veryfast", "x264-params": "no-mbtree=1"}
TICKS = 90_000  # per second, at least; the stamps of any steady rate lie on ticks exactly


def write_video(path: Path, video: Video) -> None:
    """Encode all frames of ``video``: the same ones, at the same times; their pixels to H.264's loss; no sound.

    The file appears when it is complete. Odd sizes keep full colour resolution, since half a colour sample cannot be
    stored.

    Raises:
        UserError: the video cannot be read, or the place cannot be written to.
    """
    import av

    info = video.info
    rate = Fraction(info.fps).limit_denominator(1001)
    tick = Fraction(1, rate.numerator * math.ceil(TICKS / rate.numerator))
    with (
        atomic_write(path) as handle,
        closing(video.timed_frames()) as timed,
        av.open(handle, "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options=ENCODING)
        stream.height, stream.width = info.height, info.width
        stream.pix_fmt = "yuv444p" if info.height % 2 or info.width % 2 else "yuv420p"
        stream.thread_count = 1
        stream.codec_context.time_base = tick
        for time, pixels in timed:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base, frame.duration = round(time / tick), tick, round(1 / (rate * tick))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
