"""Features of one clip, and how each of many clips ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

from slt.core.errors import SltError
from slt.frontend.base import Frontend, Streams
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.compute import ClipInProgress
from slt.video.crop import SignerBox
from slt.video.windows import Window


@dataclass(frozen=True, kw_only=True)
class ClipFeatures:
    """Features of one clip.

    Attributes:
        readings: the features; for reranking, of several readings, each beginning one step later. The first is whole.
        windows: of the first reading; none when the extractor takes single frames.
        n_frames: frames that were read.
        fps: their rate.
        signer: position of the signer in the picture.
        warnings: what a reader of the results should know.
        is_empty: nothing was detected in any frame.
    """

    readings: Sequence[Streams]
    windows: Sequence[Window] = ()
    n_frames: int
    fps: float
    signer: SignerBox
    warnings: Sequence[str] = ()
    is_empty: bool = False

    @property
    def seconds(self) -> float:
        """Duration of the frames that were read."""
        return self.n_frames / self.fps


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one clip of many.

    Attributes:
        clip: which.
        found: its features; None: it failed.
        error: why it failed.
    """

    clip: ClipSource
    found: ClipFeatures | None = None
    error: SltError | None = None


def features_of(clip: ClipInProgress, frontend: Frontend, n_readings: int) -> ClipFeatures:
    """Return the features of a clip, once it has ended without an error."""
    opened = cast(OpenClip, clip.opened)  # it was opened before its first input
    video, n_frames = opened.video, opened.n_frames
    readings: Sequence[Streams] = [
        tuple(torch.cat(parts) for parts in zip(*clip.done[reading], strict=True)) for reading in sorted(clip.done)
    ]
    return ClipFeatures(
        readings=readings if n_readings == 1 else frontend.later_readings(readings, n_readings, n_frames),
        windows=clip.windows,
        n_frames=n_frames,
        fps=video.info.fps,
        signer=opened.signer,
        warnings=[*video.warnings, *filter(None, [opened.signer.note])],
        is_empty=frontend.is_empty(readings[0]),
    )
