"""TimeSformer: windows of about a second, half overlapping, to one embedding each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from torch import nn

from slt.assets.cards import ExtractorCard, PreprocessCard, sha256_of
from slt.bundle.load import place, window_geometry
from slt.core.device import send_joined
from slt.frontend.base import FrameInput, Frontend, Settings, Streams
from slt.frontend.clip import OpenClip
from slt.frontend.siglip import fitted, require_model
from slt.frontend.streams import Stream
from slt.models.pictures import weights_of
from slt.models.timesformer import Timesformer
from slt.video.stream import WindowStream

KIND = "timesformer"
SPAN_FRAMES = 32
"""What each window spans at 25 frames per second, however many frames the model takes."""


class TimesformerFrontend(Frontend):
    """A TimeSformer in a transformers folder; no bundle holds one.

    Raises:
        UserError: no model was named, its folder is not one, or there is no such device, dtype or detector.
    """

    def __init__(self, settings: Settings) -> None:
        require_model(KIND, settings)
        folder = Path(str(settings.model)).expanduser()
        self._loaded = Timesformer(folder)
        n_frames = self._loaded.num_frames
        super().__init__(
            settings,
            PreprocessCard(
                num_frames=n_frames,
                sampling_rate=max(1, SPAN_FRAMES // n_frames),
                stride_frames=max(1, n_frames // 2),
                detector="none",
            ),
        )
        self.weights = weights_of(folder)
        self.weights_sha256 = sha256_of(self.weights)
        self.licence = f"unknown (of the TimeSformer {folder.name})"
        self.card = ExtractorCard(kind=KIND, config={}, weights=self.weights.name)
        self.feature_dims = (self._loaded.feature_dim,)
        self.input_bytes = n_frames * self._loaded.pictures.n_bytes

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """See ``Frontend``."""
        names = ("num_frames", "sampling_rate", "target_fps", "stride_frames", "detector")
        geometry = {name: getattr(preprocess, name) for name in names}
        return (Stream(kind=KIND, geometry=geometry, weights_sha256=sha256),)

    def load_model(self) -> nn.Module:
        """See ``Frontend``."""
        return place(self._loaded, self.device, self.settings.dtype)

    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """See ``Frontend``; (num_frames, H, W, 3) uint8; the last window repeats its last frame where the clip ends."""
        frames = (fitted(self._loaded.pictures, frame, clip.signer) for frame in clip.frames())
        before = 0
        for _, pixels in WindowStream(frames, fps=clip.video.info.fps, geometry=window_geometry(self.preprocess)):
            yield FrameInput(content=pixels, units=clip.n_frames - before)
            before = clip.n_frames

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """See ``Frontend``; one embedding per window."""
        windows = send_joined([one.content[None] for one in inputs], self.device)
        return [(row,) for row in self.model(windows).split(1)]
