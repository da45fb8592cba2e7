"""Face detectors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from slt.registry import resolve
from slt.video.base import Frame
from slt.video.boxes import Box

Detector: TypeAlias = Callable[[Frame], list[Box]]
"""Takes a (H, W, 3) uint8 RGB frame, returns the faces in it, in pixels, last column and row included."""

DETECTORS: Mapping[str, str] = {
    "none": "slt.video.detect:no_detector",
    "dlib-hog": "slt.video.detect:dlib_hog",
}
"""Each value makes a detector, or None where there is nothing to detect."""


def load_detector(name: str) -> Detector | None:
    """Make the detector called ``name``; None for a video that is already a crop.

    Raises:
        UserError: no such detector.
    """
    detector: Detector | None = resolve(DETECTORS, name, what="face detector")()
    return detector


def no_detector() -> None:
    """Detect nothing: the video is already a crop of the signer."""


def dlib_hog() -> Detector:
    """Make dlib's frontal face detector, on the frame enlarged twice: faces from about 40 pixels are found.

    Reference: Dalal & Triggs 2005, as built into dlib; facebookresearch/ssvp_slt uses it with one upsampling.
    """
    import cv2
    import dlib

    find = dlib.get_frontal_face_detector()

    def faces(frame: Frame) -> list[Box]:
        found = find(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), 1)
        return [Box(face.left(), face.top(), face.right(), face.bottom()) for face in found]

    return faces
