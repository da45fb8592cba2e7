"""What every extractor offers: pieces of a clip, made where several clips are decoded at once, and their features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError, UserError
from slt.data.features.header import StoreHeader
from slt.extract.jobs import Job
from slt.video.base import Frame, Video
from slt.video.crop import SignerBox, find_signer
from slt.video.rate import to_working_rate
from slt.video.span import open_span

if TYPE_CHECKING:
    from torch import Tensor

# What goes through the extractor at once, in bytes of pixels. A GPU wants much to do. On a CPU it is one piece: a
# full-size window (19 MB) keeps every core busy, and features then are the same to the bit whoever shares the work.
PIXELS_AT_ONCE = {"cpu": 1, "cuda": 160_000_000}

Notes = list[str]
"""What a person should know about a clip."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command asks of an extractor.

    Attributes:
        model: a bundle's name or folder, or the folder of a transformers model; None: the extractor's own choice.
        device: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or "float16".
        detector: how the signer is found, by name; None: as the model wants.
    """

    model: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    detector: str | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a clip that goes through the extractor as a whole.

    Attributes:
        content: pixels, (F, S, S, 3) uint8; or features already, (N, feature_dim) float32.
        padding: how many of the F frames, counted from the end, only repeat the last one.
        n_frames: how many frames of the video were read for it, after those of the piece before.
        seconds: how much of the video that is.
    """

    content: NDArray[Any]
    padding: int = 0
    n_frames: int
    seconds: float


class Extractor(ABC):
    """Turns clips into features, in two halves that run at the same time.

    Attributes:
        header: what its features are.
        at_once: how many pieces go through it together.
    """

    header: StoreHeader
    at_once: int

    @abstractmethod
    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Decode and cut one clip; runs in several threads at once, and holds little memory however long the clip.

        Args:
            job: the clip.
            notes: told what a person should know about it.

        Raises:
            UserError: there is no such video, or it cannot be read.
        """

    @abstractmethod
    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each piece's own features, (N_i, feature_dim); what it gives does not depend on the other pieces."""


def pieces_at_once(device: str, piece_bytes: int) -> int:
    """Return how many pieces of so many pixels' bytes go through a model on ``device`` (its type) at once."""
    return max(1, PIXELS_AT_ONCE.get(device, PIXELS_AT_ONCE["cpu"]) // piece_bytes)


def store_dtype(dtype: str) -> Literal["float16", "bfloat16"]:
    """Return what the features of a model that computes in ``dtype`` are kept as: no wider than they are good for."""
    return "bfloat16" if dtype == "bfloat16" else "float16"


def as_rows(features: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Return features as arrays.

    Raises:
        SltError: there is NaN or infinity among them.
    """
    rows = [one.float().cpu().numpy() for one in features]
    if not all(np.isfinite(one).all() for one in rows):
        raise SltError("the extractor gave NaN or infinity", fix="give --dtype float32 or --dtype bfloat16")
    return rows


def video_of(job: Job) -> Path:
    """Return where a clip's video should lie.

    Raises:
        UserError: nobody knows.
    """
    if job.path is None:
        raise UserError(f"the manifest names no video for {job.id}", fix="fill its column video")
    return job.path


def open_clip(job: Job, detector: str, *, target_fps: float, notes: Notes) -> tuple[Video, SignerBox]:
    """Open one clip at the rate a model wants, and find the signer in it, as translating does.

    Raises:
        UserError: there is no such video, or it cannot be read.
    """
    video = to_working_rate(open_span(video_of(job), job.start_s, job.end_s), target_fps=target_fps)
    signer = find_signer(video, detector)
    if signer.note:
        notes.append(signer.note)
    return video, signer


class Counted:
    """Counts frames on their way, so that pieces can tell how much of the video they are.

    Args:
        frames: read once.
        fps: their rate.
    """

    def __init__(self, frames: Iterator[Frame], fps: float) -> None:
        self._frames = frames
        self._fps = fps
        self._n_frames = 0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self._n_frames += 1
            yield frame

    def piece(self, content: NDArray[Any], padding: int = 0) -> Piece:
        """Return a piece with all frames read since the last one."""
        n_frames, self._n_frames = self._n_frames, 0
        return Piece(content=content, padding=padding, n_frames=n_frames, seconds=n_frames / self._fps)
