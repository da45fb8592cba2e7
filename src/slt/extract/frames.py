"""SigLIP and TimeSformer as extractors: embeddings of single frames, and of short windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.cards import sha256_of
from slt.bundle import choose_device, choose_dtype
from slt.data.features.header import StoreHeader
from slt.errors import UserError
from slt.extract.base import Counted, Extractor, Notes, Piece, Settings, as_rows, open_clip, pieces_at_once, store_dtype
from slt.extract.jobs import Job
from slt.models.pictures import weights_of
from slt.models.siglip import Siglip
from slt.models.timesformer import Timesformer
from slt.video.base import Frame
from slt.video.crop import crop
from slt.video.detect import load_detector
from slt.video.stream import WindowStream
from slt.video.windows import WindowGeometry

TARGET_FPS = 25.0
WHOLE_PICTURE = "none"
FRAMES_PER_PIECE = 16


class _TransformersExtractor(Extractor):
    """What SigLIP and TimeSformer have in common: a folder with a model, and pictures fitted to it.

    Without a detector the model sees the whole picture, as its own processor resizes it; with one, the squared crop.

    Raises:
        UserError: no model was named, its folder is not one, or there is no such device, dtype or detector.
    """

    kind: ClassVar[str]
    model_class: ClassVar[Any]

    def __init__(self, settings: Settings) -> None:
        if settings.model is None:
            raise UserError(
                f"--extractor {self.kind} needs --model: the folder of a {self.kind} model",
                fix="give --model DIR, with config.json, preprocessor_config.json and model.safetensors in it",
            )
        folder = Path(settings.model)
        device = choose_device(settings.device)
        dtype = choose_dtype(settings.dtype)
        self._detector = settings.detector or WHOLE_PICTURE
        load_detector(self._detector)
        self._model = self.model_class(folder).to(device, dtype)
        self._device = device
        self.header = StoreHeader(
            feature_dim=self._model.feature_dim,
            dtype=store_dtype(settings.dtype),
            extractor=self.kind,
            weights_sha256=sha256_of(weights_of(folder)),
            geometry={**self.geometry(), "detector": self._detector},
        )
        height, width = self._model.pictures.fit(np.zeros((64, 64, 3), np.uint8)).shape[:2]
        self.at_once = pieces_at_once(device.type, self.frames_per_piece * height * width * 3)

    @property
    @abstractmethod
    def frames_per_piece(self) -> int:
        """How many frames a piece has at most."""

    @abstractmethod
    def geometry(self) -> dict[str, Any]:
        """Return what the numbers depend on beside the weights and the detector."""

    @abstractmethod
    def cut(self, frames: Counted, fps: float) -> Iterator[Piece]:
        """Cut fitted frames into pieces."""

    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Yield one clip in pieces."""
        video, signer = open_clip(job, self._detector, target_fps=TARGET_FPS, notes=notes)
        fit = self._model.pictures.fit
        with closing(video.frames()) as frames:
            whole = self._detector == WHOLE_PICTURE
            fitted = (fit(frame if whole else crop(frame, signer.box)) for frame in frames)
            yield from self.cut(Counted(fitted, video.info.fps), video.info.fps)
        notes += video.warnings


class SiglipExtractor(_TransformersExtractor):
    """Every second frame, at 25 frames per second, to one embedding."""

    kind = "siglip"
    model_class = Siglip
    frames_per_piece = FRAMES_PER_PIECE
    sampling_rate = 2

    def geometry(self) -> dict[str, Any]:
        """Return which frames are embedded."""
        return {"target_fps": TARGET_FPS, "sampling_rate": self.sampling_rate}

    def cut(self, frames: Counted, fps: float) -> Iterator[Piece]:
        """Yield every second frame, some at a time."""
        chosen: Iterator[Frame] = islice(frames, 0, None, self.sampling_rate)
        while rows := list(islice(chosen, self.frames_per_piece)):
            yield frames.piece(np.stack(rows))

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each piece's embeddings, one per frame; frames of several clips share the batch."""
        frames = torch.from_numpy(np.concatenate([piece.content for piece in pieces])).to(self._device)
        return as_rows(self._model(frames).split([len(piece.content) for piece in pieces]))


class TimesformerExtractor(_TransformersExtractor):
    """Windows over about a second, half overlapping, to one embedding each."""

    kind = "timesformer"
    model_class = Timesformer
    span_frames = 32

    @property
    def frames_per_piece(self) -> int:
        """Frames of a window: those the model was made for."""
        return int(self._model.num_frames)

    def geometry(self) -> dict[str, Any]:
        """Return how windows are cut: each spans about 32 frames at 25 per second, however many the model sees."""
        n_frames = self.frames_per_piece
        rate = max(1, self.span_frames // n_frames)
        return {
            "num_frames": n_frames,
            "sampling_rate": rate,
            "target_fps": TARGET_FPS,
            "stride_frames": max(1, n_frames // 2),
        }

    def cut(self, frames: Counted, fps: float) -> Iterator[Piece]:
        """Yield the windows; the last one repeats its last frame where the clip ends."""
        for _, pixels in WindowStream(frames, fps=fps, geometry=WindowGeometry(**self.geometry())):
            yield frames.piece(pixels)

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each window's embedding; windows of several clips share the batch."""
        windows = torch.from_numpy(np.stack([piece.content for piece in pieces])).to(self._device)
        return as_rows(self._model(windows).split(1))
