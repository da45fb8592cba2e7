"""Find the signer in a video, and crop and resize frames."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from slt.core.errors import UserError
from slt.video.base import Frame, Picture, Video, VideoInfo
from slt.video.boxes import Box, Detector, centre_box, grow, mean_box
from slt.video.detect import chain_of, load_detector
from slt.video.tracks import choose_track, largest_track, link_tracks, motion_in_boxes

__all__ = ["Box", "SignerBox", "crop", "crop_resize", "find_signer"]

WHOLE_PICTURE = "whole picture"
"""The method where no signer was looked for."""

# dlib takes 48 MB to look at a frame of 1080p.
LOOKED_AT_ONCE_PIXELS = 4 * 1920 * 1080
MOST_LOOKERS = 8


@dataclass(frozen=True, kw_only=True)
class SignerBox:
    """Where the signer is, for the whole video, and how that was decided.

    Attributes:
        box: the signing space in pixels; ``crop_resize`` squares it.
        method: "whole picture", "mean of faces", "moving face", "largest face" or "centre".
        detector: what looked for faces, the last one where several did.
        n_looked: frames in which a face was looked for.
        n_detected: those of them with at least one face.
        max_faces: the most faces seen in one frame.
        note: a warning about the choice, None when it is certain.
    """

    box: Box
    method: str
    detector: str
    n_looked: int = 0
    n_detected: int = 0
    max_faces: int = 0
    note: str | None = None


def find_signer(video: Video, detector: str, *, every: int = 16) -> SignerBox:
    """Find the one box that holds the signer throughout the video.

    Without a detector the video is taken to be a crop already: the whole picture, squared by growing its short side
    with black, so nothing is cut off. With one, faces are looked for in every ``every``-th frame and grown to signing
    space. Never more than one face in a frame: the mean of all. Else boxes are linked over time and the link with the
    most motion wins, among those seen in over half of the frames; else the largest. No face: the picture's middle.

    The video is read once, and again only for the next detector of several, or to compare the motion of several faces.

    Args:
        video: the video.
        detector: a key of ``slt.video.detect.DETECTORS``, or ``dlib-cnn=FILE``.
        every: frames from one look to the next.

    Raises:
        UserError: an unknown detector, ``every`` below 1, or a video that cannot be read.

    Reference: facebookresearch/ssvp_slt, examples/inference/src/slt_inference/preprocessing.py.
    """
    if every < 1:
        raise UserError(f"faces are detected in every {every}th frame, expected 1 or more")
    seen: list[list[Box]] = []
    for name in chain_of(detector):
        detect = load_detector(name)
        if detect is None:
            whole = Box(0, 0, video.info.width, video.info.height)
            return SignerBox(box=whole, method=WHOLE_PICTURE, detector=name)
        seen = _look(video, detect, every)
        if any(seen):
            break
    box, method, note = _decide(video, seen, every)
    return SignerBox(
        box=box,
        method=method,
        detector=name,
        n_looked=len(seen),
        n_detected=sum(bool(boxes) for boxes in seen),
        max_faces=max(map(len, seen), default=0),
        note=note,
    )


def crop_resize(frame: Frame, box: Box, size: int) -> Frame:
    """Cut a square around ``box`` and resize it.

    The box grows on both ends of its short side, then its corners are truncated towards zero; what lies outside the
    picture is black.

    Args:
        frame: (H, W, 3) uint8.
        box: the signer's box, from ``find_signer``.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8, bilinear.

    Raises:
        UserError: the box is empty or not a number.

    Reference: facebookresearch/ssvp_slt, examples/inference/src/slt_inference/preprocessing.py.
    """
    import cv2

    return np.asarray(cv2.resize(crop(frame, box), (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def crop(frame: Frame, box: Box) -> Frame:
    """Cut a square around ``box`` as ``crop_resize`` does, and leave its size as it is.

    Raises:
        UserError: the box is empty or not a number.
    """
    left, top, right, bottom = _square(box)
    height, width = frame.shape[:2]
    if min(left, top) >= 0 and right <= width and bottom <= height:
        return frame[top:bottom, left:right]
    cut = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x1 < x2 and y1 < y2:
        cut[y1 - top : y2 - top, x1 - left : x2 - left] = frame[y1:y2, x1:x2]
    return cut


def _look(video: Video, detect: Detector, every: int) -> list[list[Box]]:
    """Return the grown boxes in every ``every``-th frame; while faces are detected in some, the next are decoded."""
    n_threads = _n_detector_threads(video.info)
    looks: list[Future[list[Box]]] = []
    with ThreadPoolExecutor(n_threads) as pool, closing(video.timed_pictures()) as timed:
        for index, (_, picture) in enumerate(timed):
            if index % every == 0:
                looks.append(pool.submit(_grown_faces, picture, detect))
                if len(looks) > n_threads:  # decoded pictures wait in memory: only as many as keep all at work
                    looks[-1 - n_threads].result()
    return [look.result() for look in looks]


def _grown_faces(picture: Picture, detect: Detector) -> list[Box]:
    return [grow(face) for face in detect(picture.pixels())]


def _n_detector_threads(info: VideoInfo) -> int:
    """Return in how many frames faces are detected at once: one per core, as long as they stay within about 200 MB."""
    n_cores = len(os.sched_getaffinity(0))
    return max(1, min(n_cores, LOOKED_AT_ONCE_PIXELS // max(info.height * info.width, 1), MOST_LOOKERS))


def _decide(video: Video, seen: list[list[Box]], every: int) -> tuple[Box, str, str | None]:
    """Choose the signer among the boxes of each sampled frame; return box, method and note."""
    most = max(map(len, seen), default=0)
    if most == 1:
        return mean_box([boxes[0] for boxes in seen if boxes]), "mean of faces", None
    several = f"up to {most} people are in the picture:"
    tracks = link_tracks(seen)
    moving = choose_track(tracks, len(seen), lambda tracks: motion_in_boxes(video, tracks, every))
    if moving is not None:
        return moving, "moving face", f"{several} the one who moves most is taken to be the signer"
    largest = largest_track(tracks)
    if largest is not None:
        return largest, "largest face", f"{several} none stays for long, and a large one is taken to be the signer"
    found = f"{several} none stands out," if most else f"no face was found in {len(seen)} frames:"
    note = f"{found} the middle of the picture is taken, which may cut off the hands"
    return centre_box(video.info.height, video.info.width), "centre", note


def _square(box: Box) -> tuple[int, int, int, int]:
    """Return the squared box as whole pixels (left, top, right, bottom), right and bottom excluded."""
    if not all(math.isfinite(value) for value in box):
        raise UserError(f"the crop box {tuple(box)} is not made of numbers", fix="give four finite pixel positions")
    x1, y1, x2, y2 = box
    missing = abs((x2 - x1) - (y2 - y1)) / 2
    if x2 - x1 < y2 - y1:
        x1, x2 = x1 - missing, x2 + missing
    else:
        y1, y2 = y1 - missing, y2 + missing
    left, top, right, bottom = int(x1), int(y1), int(x2), int(y2)
    if left >= right or top >= bottom:
        raise UserError(
            f"the crop box {tuple(box)} holds no pixel: expected x1 < x2 and y1 < y2",
            fix="give the left, top, right and bottom edge of the signer, in pixels",
        )
    return left, top, right, bottom
