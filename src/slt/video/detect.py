"""Face detectors by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slt.core.registry import did_you_mean, resolve
from slt.video.base import Frame
from slt.video.boxes import Box, Detector
from slt.video.dlib_cnn import CNN, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

DETECTORS: Mapping[str, str] = {
    "none": "slt.video.detect:no_detector",
    "dlib-hog": "slt.video.detect:dlib_hog",
    "dlib-hog-fast": "slt.video.detect:dlib_hog_fast",
    "dlib-cnn": "slt.video.dlib_cnn:dlib_cnn",
    "mediapipe": "slt.video.detect:mediapipe_faces",
    "auto": "slt.video.detect:no_detector",  # stands for others, by CHAINS
}
"""Each value makes a detector, or None where there is nothing to detect."""

CHAINS: Mapping[str, tuple[str, ...]] = {"auto": ("dlib-hog-fast", "mediapipe")}
"""What stands for several detectors: the next one looks where the one before saw nobody in the whole video."""

RTMW, POSE_FILE = "rtmw", "pose-file"
POINT_SOURCES = (RTMW, POSE_FILE)
"""Where whole-body points come from; no face is detected for them."""

FAST_SHORT_SIDE = 720
"""The height, or width if it is smaller, that `dlib-hog-fast` brings a picture to; none is enlarged more than twice."""


def chain_of(name: str) -> tuple[str, ...]:
    """Return the detectors that a name stands for, in the order in which they are tried."""
    return CHAINS.get(name, (name,))


def check_detector(name: str) -> None:
    """Check that there is a detector or a source of points of this name, without loading anything.

    Raises:
        UserError: there is none, or its file is absent.
    """
    if name.partition("=")[0] in POINT_SOURCES:
        return
    kind, file = _parsed(name)
    if kind == CNN:
        weights_of(file)


def load_detector(name: str) -> Detector | None:
    """Make the detector called ``name``; None for a video that is already a crop.

    Args:
        name: a key of ``DETECTORS`` that stands for itself; ``dlib-cnn=FILE`` names the file of its weights.

    Raises:
        UserError: no such detector, or its file is absent or broken.
    """
    kind, file = _parsed(name)
    make = resolve(DETECTORS, kind, what="face detector")
    detector: Detector | None = make(file) if kind == CNN else make()
    return detector


def _parsed(name: str) -> tuple[str, Path | None]:
    """Return the key of ``DETECTORS`` and the file that were named."""
    from slt.core.errors import UserError

    kind, named, file = name.partition("=")
    if kind not in DETECTORS:
        known = ", ".join(DETECTORS)
        raise UserError(f"unknown face detector {kind!r}; known: {known}", fix=did_you_mean(kind, DETECTORS))
    if named and kind != CNN:
        raise UserError(f"the face detector {kind} takes no file, found {name!r}", fix=f"--detector {kind}")
    return kind, Path(file) if named else None


def no_detector() -> None:
    """Detect nothing: the video is already a crop of the signer."""


@cache
def dlib_hog() -> Detector:
    """Make dlib's frontal face detector, on the frame enlarged twice: faces from about 40 pixels are found.

    Reference: Dalal & Triggs 2005, as built into dlib; facebookresearch/ssvp_slt uses it with one upsampling.
    """
    find = _hog_per_thread()

    def faces(frame: Frame) -> list[Box]:
        return [Box(face.left(), face.top(), face.right(), face.bottom()) for face in find(_grey(frame), 1)]

    return faces


@cache
def dlib_hog_fast() -> Detector:
    """Make the same detector on a picture brought to a short side of 720 pixels, and mapped back.

    Up to a short side of 360 pixels it is ``dlib_hog`` itself; above, faces under 80 pixels of the 720 are missed.
    """
    import cv2

    find, exact = _hog_per_thread(), dlib_hog()

    def faces(frame: Frame) -> list[Box]:
        scale = FAST_SHORT_SIDE / min(frame.shape[:2])
        if scale >= 2:
            return exact(frame)
        size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
        # First to a smaller picture, then to grey, would cost more.
        picture = cv2.resize(_grey(frame), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return [
            # The last column belongs to a face: its far edge is one further.
            Box(
                face.left() / scale,
                face.top() / scale,
                (face.right() + 1) / scale - 1,
                (face.bottom() + 1) / scale - 1,
            )
            for face in find(picture, 0)
        ]

    return faces


@cache
def mediapipe_faces() -> Detector:
    """Make MediaPipe's full-range face detector, on the whole frame: faces turned aside too.

    Reference: Bazarevsky et al. 2019, arXiv 1907.05047.
    """
    from slt.video.mediapipe_graph import Graph, messages

    graph = Graph("face_detection/face_detection_full_range_cpu.binarypb", ["detections"])
    in_turn = threading.Lock()

    def faces(frame: Frame) -> list[Box]:
        from mediapipe.framework.formats.detection_pb2 import Detection

        with in_turn:
            found = graph(frame).get("detections")
        height, width = frame.shape[:2]
        boxes = []
        for one in messages(found, Detection) if found is not None else []:
            place = one.location_data.relative_bounding_box
            left, top = place.xmin * width, place.ymin * height
            boxes.append(Box(left, top, left + place.width * width - 1, top + place.height * height - 1))
        return boxes

    return faces


def _grey(frame: Frame) -> NDArray[Any]:
    """Return the (H, W) uint8 brightness of a frame."""
    import cv2

    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _hog_per_thread() -> Callable[[NDArray[Any], int], Any]:
    """Return dlib's detector, which remembers the picture it is at: each thread has its own."""
    import dlib

    own = threading.local()

    def find(picture: NDArray[Any], upsampled: int) -> Any:
        if not hasattr(own, "find"):
            own.find = dlib.get_frontal_face_detector()
        return own.find(picture, upsampled)

    return find
