"""The SignHiera of a bundle as an extractor: windows of the cropped signer, cut as for translating."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from slt.bundle.load import load_extractor, window_geometry
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
from slt.frontend.stages import window_features
from slt.frontend.streams import bundle_streams
from slt.models.signhiera import SignHiera
from slt.video.detect import load_detector
from slt.video.stream import WindowStream, cropped_frames


class SignHieraExtractor(Extractor):
    """Windows to features, by a bundle's extractor.

    Raises:
        UserError: no such bundle, device, dtype or detector; or the bundle's extractor is another one.
    """

    def __init__(self, settings: Settings) -> None:
        card, model = load_extractor(settings.model or "demo", device=settings.device, dtype=settings.dtype)
        if not isinstance(model, SignHiera):
            raise UserError(
                f"the model {card.name} reads features made by {card.extractor.kind}, not by signhiera",
                fix="leave --extractor away: the model's own is taken",
            )
        self._model = model
        (stream,) = bundle_streams(card)
        self._preprocess = replace(card.preprocess, detector=settings.detector or card.preprocess.detector)
        load_detector(self._preprocess.detector)
        self._geometry = window_geometry(self._preprocess)
        self.at_once = pieces_at_once(
            next(self._model.parameters()).device.type, self._geometry.num_frames * self._preprocess.size**2 * 3
        )
        self.header = StoreHeader(
            feature_dim=self._model.config.feature_dim,
            dtype=store_dtype(settings.dtype),
            extractor=stream.kind,
            weights_sha256=stream.weights_sha256,
            geometry=asdict(self._preprocess),
        )

    def pieces(self, job: Job, notes: Notes) -> Generator[Piece, None, None]:
        """Yield the windows of one clip."""
        video, signer = open_clip(job, self._preprocess.detector, target_fps=self._geometry.target_fps, notes=notes)
        frames = Counted(cropped_frames(video, signer, self._preprocess.size), video.info.fps)
        for window, pixels in WindowStream(frames, fps=video.info.fps, geometry=self._geometry):
            yield frames.piece(pixels, window.padding)
        notes += video.warnings

    def features(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """Return each window's features; windows of several clips share the batch."""
        return as_rows(
            window_features(self._model, [piece.content for piece in pieces], [piece.padding for piece in pieces])
        )
