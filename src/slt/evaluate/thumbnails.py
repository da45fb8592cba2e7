"""A thumbnail of each clip: its middle frame."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path

from slt.core.errors import SltError
from slt.evaluate.results import Sentence
from slt.video.span import open_span

HEIGHT, QUALITY = 72, 60


def thumbnail(sentence: Sentence) -> str | None:
    """Return the clip's middle frame as a JPEG data URI; None if the video cannot be read."""
    import cv2

    if sentence.video is None:
        return None
    start = sentence.start_s or 0.0
    end = sentence.end_s if sentence.end_s is not None else start + (sentence.duration_s or 0.0)
    middle = (start + end) / 2
    try:
        # Seeking avoids decoding the frames before it.
        frames = open_span(Path(sentence.video), middle if middle > 0 else None, None).frames()
        frame = next(frames, None)
        frames.close()
    except (SltError, OSError):
        return None
    if frame is None:
        return None
    width = max(1, round(frame.shape[1] * HEIGHT / frame.shape[0]))
    small = cv2.resize(frame, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    good, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}" if good else None


def thumbnails(
    sentences: Iterable[Sentence], most: int, progress: Callable[[str, int, int | None], None]
) -> dict[str, str]:
    """Return id → data URI of the first ``most`` clips that have a video."""
    wanted = [one for one in sentences if one.video][:most]
    found: dict[str, str] = {}
    for number, one in enumerate(wanted, 1):
        if picture := thumbnail(one):
            found[one.id] = picture
        progress("thumbnails", number, len(wanted))
    return found
