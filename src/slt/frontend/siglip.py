"""SigLIP and TimeSformer as extractors: embeddings of single frames, and of short windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from slt.assets.cards import sha256_of
from slt.assets.store import find_bundle, is_bundle
from slt.bundle.load import choose_device, choose_dtype
from slt.bundle.load import load_extractor as load_from_bundle
from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.extract.jobs import Job
from slt.frontend.base import (
    Counted,
    Extractor,
    Notes,
    Piece,
    Settings,
    as_rows,
    open_clip,
    pieces_at_once,
    store_dtype,
)
from slt.frontend.combined import PICTURES_AT_ONCE, fitted
from slt.frontend.streams import Stream, bundle_streams, picture_stream
from slt.models.pictures import weights_of
from slt.models.siglip import Siglip
from slt.models.timesformer import Timesformer
from slt.video.base import Frame
from slt.video.detect import load_detector
from slt.video.stream import WindowStream
from slt.video.windows import WindowGeometry

TARGET_FPS = 25.0
WHOLE_PICTURE = "none"


Fit: TypeAlias = Callable[[Frame], Frame]
"""A frame as the model wants it."""

Model = TypeVar("Model", bound=nn.Module)


def _placed(model: Model, settings: Settings) -> Model:
    return model.to(choose_device(settings.device), choose_dtype(settings.dtype))


class _TransformersExtractor(Extractor):
    """What SigLIP and TimeSformer have in common: a model of transformers, and pictures fitted to it.

    Without a detector the model sees the whole picture, as its own processor resizes it; with one, the squared crop.

    Raises:
        UserError: no model was named, its folder is not one, or there is no such device, dtype or detector.
    """

    kind: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        if settings.model is None:
            raise UserError(
                f"--extractor {self.kind} needs --model: the folder of a {self.kind} model",
                fix="give --model DIR, with config.json, preprocessor_config.json and model.safetensors in it",
            )
        self._device = choose_device(settings.device)
        self._model, stream = self.load(settings.model, settings)
        self._detector = settings.detector or stream.geometry["detector"]
        load_detector(self._detector)
        self._target_fps = stream.geometry["target_fps"]
        self.header = StoreHeader(
            feature_dim=self._model.feature_dim,
            dtype=store_dtype(settings.dtype),
            extractor=self.kind,
            weights_sha256=stream.weights_sha256,
            geometry={**stream.geometry, "detector": self._detector},
        )
        height, width = self._model.pictures.fit(np.zeros((64, 64, 3), np.uint8)).shape[:2]
        self.at_once = pieces_at_once(self._device.type, self.frames_per_piece * height * width * 3)

    @property
    @abstractmethod
    def frames_per_piece(self) -> int:
        """How many frames a piece has at most."""

    @abstractmethod
    def load(self, model: str, settings: Settings) -> tuple[Any, Stream]:
        """Return the model that is named, on the device and in the dtype asked for, and what it makes."""

    @abstractmethod
    def cut(self, frames: Counted, fit: Fit, fps: float) -> Iterator[Piece]:
        """Cut frames into pieces, each frame that is looked at fitted to the model."""

    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Yield one clip in pieces."""
        video, signer = open_clip(job, self._detector, target_fps=self._target_fps, notes=notes)
        fit = partial(fitted, self._model.pictures, signer=signer)
        with closing(video.frames()) as frames:
            yield from self.cut(Counted(frames, video.info.fps), fit, video.info.fps)
        notes += video.warnings


class SiglipExtractor(_TransformersExtractor):
    """Every second frame, at 25 frames per second, to one embedding; the model has a folder of its own, or a bundle's.

    Raises:
        UserError: a bundle was named that has no SigLIP.
    """

    kind = "siglip"
    frames_per_piece = PICTURES_AT_ONCE

    def load(self, model: str, settings: Settings) -> tuple[Siglip, Stream]:
        """See above."""
        if not is_bundle(model):
            loaded = _placed(Siglip.from_folder(Path(model)), settings)
            return loaded, picture_stream(weights_sha256=sha256_of(weights_of(Path(model))))
        card = find_bundle(model).card
        if not (streams := [stream for stream in bundle_streams(card) if stream.kind == self.kind]):
            raise UserError(f"the model {card.name} has no SigLIP", fix="give --model the folder of one")
        _, found = load_from_bundle(model, device=settings.device, dtype=settings.dtype)
        return cast(Siglip, found), streams[0]

    def cut(self, frames: Counted, fit: Fit, fps: float) -> Iterator[Piece]:
        """Yield every second frame, some at a time."""
        chosen = map(fit, islice(frames, 0, None, self.header.geometry["sampling_rate"]))
        while rows := list(islice(chosen, self.frames_per_piece)):
            yield frames.piece(np.stack(rows))

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each piece's embeddings, one per frame; frames of several clips share the batch."""
        frames = torch.from_numpy(np.concatenate([piece.content for piece in pieces])).to(self._device)
        return as_rows(self._model(frames).split([len(piece.content) for piece in pieces]))


class TimesformerExtractor(_TransformersExtractor):
    """Windows over about a second, half overlapping, to one embedding each."""

    kind = "timesformer"
    span_frames = 32

    @property
    def frames_per_piece(self) -> int:
        """Frames of a window: those the model was made for."""
        return int(self._model.num_frames)

    def load(self, model: str, settings: Settings) -> tuple[Timesformer, Stream]:
        """See above; each window spans about 32 frames at 25 per second, however many the model sees."""
        folder = Path(model)
        loaded = Timesformer(folder)
        geometry: dict[str, Any] = {
            "num_frames": loaded.num_frames,
            "sampling_rate": max(1, self.span_frames // loaded.num_frames),
            "target_fps": TARGET_FPS,
            "stride_frames": max(1, loaded.num_frames // 2),
        }
        self._windows = WindowGeometry(**geometry)
        made = {**geometry, "detector": WHOLE_PICTURE}
        stream = Stream(kind=self.kind, geometry=made, weights_sha256=sha256_of(weights_of(folder)))
        return _placed(loaded, settings), stream

    def cut(self, frames: Counted, fit: Fit, fps: float) -> Iterator[Piece]:
        """Yield the windows; the last one repeats its last frame where the clip ends."""
        for _, pixels in WindowStream(map(fit, frames), fps=fps, geometry=self._windows):
            yield frames.piece(pixels)

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each window's embedding; windows of several clips share the batch."""
        windows = torch.from_numpy(np.stack([piece.content for piece in pieces])).to(self._device)
        return as_rows(self._model(windows).split(1))
