"""dlib's CNN face detector, with weights in a file."""

from __future__ import annotations

import bz2
import tempfile
import threading
from functools import cache
from pathlib import Path

from slt.assets.published import PUBLISHED_DETECTORS
from slt.assets.store import fetched_file
from slt.core.errors import UserError
from slt.video.base import Frame
from slt.video.boxes import Box, Detector
from slt.video.oserrors import explain_os_error

CNN = "dlib-cnn"
"""The detector's name."""

MOST_BYTES = 64_000_000
"""What the weights may unpack to: theirs are under 1 MB."""


@cache
def dlib_cnn(file: Path | None) -> Detector:
    """Make dlib's max-margin face detector, on the frame enlarged twice.

    Args:
        file: its weights, as published (`.dat.bz2`) or unpacked; None for those that `slt models fetch` brought.

    Raises:
        UserError: the file is absent, changed, or of something else.

    Reference: King 2015, arXiv 1502.00046; facebookresearch/ssvp_slt uses it with one upsampling unless told otherwise.
    """
    import dlib

    path = weights_of(file)
    with tempfile.NamedTemporaryFile(suffix=".dat") as unpacked:
        unpacked.write(_content(path))
        unpacked.flush()
        try:
            find = dlib.cnn_face_detection_model_v1(unpacked.name)
        except RuntimeError as error:
            raise UserError(
                f"{path} does not hold the weights of dlib's face detector",
                fix="give mmod_human_face_detector.dat, or fetch it: slt models fetch dlib-cnn",
            ) from error
    in_turn = threading.Lock()

    def faces(frame: Frame) -> list[Box]:
        with in_turn:
            found = find(frame, 1)
        return [Box(one.rect.left(), one.rect.top(), one.rect.right(), one.rect.bottom()) for one in found]

    return faces


def weights_of(file: Path | None) -> Path:
    """Return where the weights lie.

    Args:
        file: the user's own; None for the fetched ones, which must be as they were when they were fetched.

    Raises:
        UserError: they are absent, or changed.
    """
    if file is not None:
        if not file.is_file():
            raise UserError(f"there is no file {file} with the weights of dlib's face detector")
        return file
    path = fetched_file(CNN, PUBLISHED_DETECTORS[CNN].files[0].name)
    if path is None:
        raise UserError(
            "the weights of the face detector dlib-cnn are not here",
            fix="slt models fetch dlib-cnn, or --detector dlib-cnn=FILE, or another detector",
        )
    return path


def _content(path: Path) -> bytes:
    """Read weights, unpacked if they are not yet."""
    try:
        with open(path, "rb") as file:
            packed = file.read(3) == b"BZh"
        with bz2.open(path) if packed else open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise explain_os_error(path, error) from error
        raise UserError(f"{path} is damaged: {error}", fix="fetch or copy it again") from error
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} holds over {MOST_BYTES} bytes, the weights of dlib's face detector are under 1 MB")
    return content
