"""How each kind of extractor looks at a stretch of video: what it takes of every frame, and the features of that.

The first half decodes and runs on a thread of its own, the second computes. `extract-features` has halves of its own,
for many clips at once, over the same parts: the features are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt.assets.cards import BundleCard
from slt.bundle.load import LoadedBundle
from slt.core.errors import UserError
from slt.frontend.stages import extract_several
from slt.models.pictures import Pictures
from slt.models.siglip import Siglip
from slt.video.base import Frame, Video
from slt.video.crop import WHOLE_PICTURE, SignerBox, crop
from slt.video.keypoints import Holistic
from slt.video.pose_file import joints_of, open_posed
from slt.video.stream import cropped_frames, in_turn, late_starts
from slt.video.windows import Window, plan_windows

Streams: TypeAlias = tuple[Tensor, ...]
"""The features of one clip: (N, feature_dim); and, where there is a second stream, (M, visual_dim)."""

Glimpse: TypeAlias = Any
"""What is kept of one frame: the signer's picture, the joints, or both."""

OnDone: TypeAlias = Callable[[int], None] | None

PICTURES_AT_ONCE = 16
NOBODY = "nobody is seen in any frame: the text is of nothing"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of looking at a stretch.

    Attributes:
        readings: the features; where several readings were asked for, each begins one step later. The first has all.
        windows: what the extractor was fed; none where it looks at single frames.
        n_frames: how many frames were read.
        notes: what a reader of the text should know.
    """

    readings: Sequence[Streams]
    windows: Sequence[Window] = ()
    n_frames: int
    notes: Sequence[str] = ()


class Sight(ABC):
    """How one kind of extractor looks; made of a loaded bundle.

    Attributes:
        unit: what its progress counts.
        on_crops: its glimpses are the signer's pictures, as those who look for sentences have them already.
        on_joints: it looks at joints, and takes those that are known.
        on_pictures: it looks at pictures even where joints are known.
    """

    unit: ClassVar[str] = "frames"
    on_crops: ClassVar[bool] = False
    on_joints: ClassVar[bool] = False
    on_pictures: ClassVar[bool] = True

    def __init__(self, bundle: LoadedBundle) -> None:
        self.bundle = bundle

    def open(
        self, path: Path, start_s: float | None = None, end_s: float | None = None, *, pose: Path | None = None
    ) -> Video:
        """Open a stretch of a video, or of a ``.pose`` file, for what it looks at; arguments as for ``open_posed``."""
        return open_posed(
            path,
            start_s,
            end_s,
            pose=pose if self.on_joints else None,
            pictures=self.on_pictures,
            target_fps=self.bundle.geometry.target_fps,
        )

    @abstractmethod
    def glimpses(self, source: Video, signer: SignerBox) -> Generator[Glimpse, None, None]:
        """Yield what there is to see in each frame of a video at the bundle's rate.

        Raises:
            UserError: the video cannot be read to its end.
        """

    @abstractmethod
    def see(self, glimpses: Iterable[Glimpse], fps: float, *, n_readings: int, on_done: OnDone) -> Seen:
        """Turn the glimpses of one stretch into its features.

        Args:
            glimpses: of each frame; read once.
            fps: their rate.
            n_readings: how many times to read them; fewer where there are not so many steps.
            on_done: called with the number of units done.
        """

    def expected(self, source: Video, n_readings: int) -> int | None:
        """Return how many units there will be, by what the video's header promises; None: nobody knows."""
        return source.info.n_frames


class WindowSight(Sight):
    """SignHiera: windows of the cropped signer."""

    unit = "windows"
    on_crops = True

    def glimpses(self, source: Video, signer: SignerBox) -> Generator[Frame, None, None]:
        """Yield the signer, (size, size, 3) uint8 each."""
        return cropped_frames(source, signer, self.bundle.card.preprocess.size)

    def see(self, glimpses: Iterable[Frame], fps: float, *, n_readings: int, on_done: OnDone) -> Seen:
        """See ``Sight``."""
        streams = late_starts(glimpses, n_readings, fps=fps, geometry=self.bundle.geometry)
        found = extract_several(self._model, in_turn(streams), on_windows=on_done)
        readings = [(features,) for features in found.values()]
        return Seen(readings=readings, windows=streams[0].windows, n_frames=streams[0].n_frames)

    def expected(self, source: Video, n_readings: int) -> int | None:
        """See ``Sight``."""
        promised = source.info.n_frames
        return n_readings * len(plan_windows(promised, source.info.fps, self.bundle.geometry)) if promised else None

    @property
    def _model(self) -> torch.nn.Module:
        return cast(torch.nn.Module, self.bundle.extractor)


class JointSight(Sight):
    """Keypoints: the joints of every frame, as known or as MediaPipe Holistic sees them in the whole picture."""

    on_joints = True
    on_pictures = False

    def glimpses(self, source: Video, signer: SignerBox) -> Generator[NDArray[np.float32], None, None]:
        """Yield the joints, (225,) float32 each, NaN where one is not seen."""
        return joints_of(source)

    def see(self, glimpses: Iterable[NDArray[np.float32]], fps: float, *, n_readings: int, on_done: OnDone) -> Seen:
        """See ``Sight``."""
        rows = np.stack(list(_Count(on_done).each(glimpses)))
        return self.seen(rows, n_readings)

    def seen(self, rows: NDArray[np.float32], n_readings: int, *, step: int = 1) -> Seen:
        """Return what came of (T, 225) joints, float32 whatever the encoder computes in: half would move them."""
        device = next(self.bundle.encoder.parameters()).device
        features = torch.from_numpy(rows).to(device)
        notes = [] if np.isfinite(rows).any() else [NOBODY]
        return Seen(readings=_later(features, n_readings, step), n_frames=len(rows), notes=notes)


class PictureSight(Sight):
    """SigLIP: every second frame by itself; the whole picture, or with a detector the squared crop of the signer."""

    def glimpses(self, source: Video, signer: SignerBox) -> Generator[Frame | None, None, None]:
        """Yield the fitted picture of a frame that is looked at, None for the others."""
        with closing(source.frames()) as frames:
            for number, frame in enumerate(frames):
                yield self.picture(number, frame, signer)

    def picture(self, number: int, frame: Frame, signer: SignerBox) -> Frame | None:
        """Return a frame as the model wants it, None when it is not looked at."""
        return None if number % self.rate else fitted(self._model.pictures, frame, signer)

    def see(self, glimpses: Iterable[Frame | None], fps: float, *, n_readings: int, on_done: OnDone) -> Seen:
        """See ``Sight``."""
        count = _Count(on_done)
        pictures = (picture for picture in count.each(glimpses) if picture is not None)
        features = torch.cat(list(embedded(self._model, pictures)))
        return Seen(readings=_later(features, n_readings), n_frames=count.done)

    @property
    def rate(self) -> int:
        """Frames from one that is looked at to the next."""
        return self.bundle.card.preprocess.sampling_rate

    @property
    def _model(self) -> Siglip:
        return cast(Siglip, self.bundle.extractor)


class JointAndPictureSight(Sight):
    """Keypoints of every frame, and SigLIP's embedding of every second one: two streams of their own lengths."""

    on_joints = True

    def __init__(self, bundle: LoadedBundle) -> None:
        super().__init__(bundle)
        self._joints, self._pictures = JointSight(bundle), PictureSight(bundle)

    def glimpses(self, source: Video, signer: SignerBox) -> Generator[Glimpse, None, None]:
        """Yield (joints, picture) of each frame: (k, 225) float32 and what ``PictureSight`` yields.

        Known joints, whose rate is their own, all come with the first frame.
        """
        if (known := source.joints()) is not None:
            with closing(self._pictures.glimpses(source, signer)) as pictures:
                for picture in pictures:
                    yield known, picture
                    known = known[:0]
            return
        with closing(source.frames()) as frames, Holistic() as find:
            for number, frame in enumerate(frames):
                yield find(frame).reshape(1, -1), self._pictures.picture(number, frame, signer)

    def see(self, glimpses: Iterable[Glimpse], fps: float, *, n_readings: int, on_done: OnDone) -> Seen:
        """See ``Sight``."""
        rows: list[NDArray[np.float32]] = []

        def pictures() -> Iterator[Frame | None]:
            for joints, picture in glimpses:
                rows.append(joints)
                yield picture

        looked = self._pictures.see(pictures(), fps, n_readings=n_readings, on_done=on_done)
        joints = np.concatenate(rows)
        step = max(1, round(self._pictures.rate * len(joints) / looked.n_frames))  # as long as a picture's
        found = self._joints.seen(joints, n_readings, step=step)
        readings = [(*one, *other) for one, other in zip(found.readings, looked.readings, strict=False)]
        return Seen(readings=readings, n_frames=looked.n_frames, notes=found.notes)


SIGHTS: Mapping[str, type[Sight]] = {
    "signhiera": WindowSight,
    "keypoints": JointSight,
    "siglip": PictureSight,
    "keypoints+siglip": JointAndPictureSight,
}


def sight_of(bundle: LoadedBundle) -> Sight:
    """Return how the extractor of a bundle looks at videos."""
    return SIGHTS[bundle.card.extractor.kind](bundle)


def check_detector(card: BundleCard, detector: str | None) -> None:
    """See that a bundle has a use for a detector.

    Raises:
        UserError: one was asked for, and it has none.
    """
    if detector and card.extractor.kind == "keypoints":
        raise UserError(
            f"the model {card.name} reads keypoints, for which MediaPipe Holistic finds the signer itself",
            fix="leave the detector away",
        )


def fitted(pictures: Pictures, frame: Frame, signer: SignerBox) -> Frame:
    """Return a frame as a model wants it: the whole picture, or the squared crop where a detector found the signer."""
    return pictures.fit(frame if signer.method == WHOLE_PICTURE else crop(frame, signer.box))


def embedded(model: Siglip, pictures: Iterable[Frame]) -> Iterator[Tensor]:
    """Yield the embeddings of fitted pictures, some at a time, (n, feature_dim) on the model's device each."""
    device, rest = next(model.parameters()).device, iter(pictures)
    while batch := list(islice(rest, PICTURES_AT_ONCE)):
        yield model(torch.from_numpy(np.stack(batch)).to(device))


class _Count:
    """Counts what passes, and tells of it now and then.

    Args:
        tell: called with the number so far.

    Attributes:
        done: the number so far.
    """

    EVERY = 25

    def __init__(self, tell: OnDone) -> None:
        self.done = 0
        self._tell = tell

    def each(self, items: Iterable[Glimpse]) -> Iterator[Glimpse]:
        for item in items:
            yield item
            self.done += 1
            if self._tell and self.done % self.EVERY == 0:
                self._tell(self.done)


def _later(features: Tensor, n_readings: int, step: int = 1) -> list[Streams]:
    """Return readings that begin so many steps later each."""
    starts = range(0, min(n_readings * step, len(features)), step)
    return [(features[start:],) for start in starts]
