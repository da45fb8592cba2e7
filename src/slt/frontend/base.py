"""The protocol of an extractor: open a clip, cut it into model inputs, compute features from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from slt.assets.cards import ExtractorCard, PreprocessCard
from slt.core.device import choose_device
from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.frontend.streams import Stream
from slt.video.base import Frame, Video
from slt.video.cache import CACHE_BYTES, CachedVideo
from slt.video.crop import SignerBox, find_signer
from slt.video.detect import load_detector
from slt.video.keypoints import Holistic
from slt.video.pose_file import keypoints_of, open_with_pose, pose_beside
from slt.video.rate import to_working_rate
from slt.video.skeletons import MEDIAPIPE_75
from slt.video.stream import cropped_frames
from slt.video.windows import Window

T = TypeVar("T")

Streams: TypeAlias = tuple[Tensor, ...]
"""Features of one clip: (N, feature_dim); for extractors with a second stream also (M, visual_dim)."""

POSE_BESIDE = "keypoints were read from the .pose file beside the video"

# Pixels computed on together. A GPU needs large batches. On a CPU one full-size window (19 MB) keeps every core busy,
# and with one input at a time the features are bit-identical however the clips are divided over workers.
BATCH_BYTES: Mapping[str, int] = {"cpu": 1, "cuda": 160_000_000}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of an extractor.

    Attributes:
        model: a bundle's name or folder, or the folder of a transformers model; None: the extractor's default.
        device: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or "float16".
        detector: how the signer is found, a key of ``slt.video.detect.DETECTORS`` or ``dlib-cnn=FILE``; None: as the
            model's card says.
        skeleton: a key of ``slt.video.skeletons.SKELETONS``: what keypoint files hold, to be converted to the joints
            that the extractor takes; None: as the model's card says, else MediaPipe's.
    """

    model: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    detector: str | None = None
    skeleton: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Where one clip lies: a video or keypoint file, or a segment of one.

    Attributes:
        id: of the clip.
        path: of its video or keypoint file; None: the manifest names none.
        start_s: frames from then on, in seconds since the video's first frame; None: the beginning.
        end_s: frames before then; None: the end.
        pose: keypoint file of the whole video; None: keypoints are detected.
        pose_was_found: ``pose`` was found beside the video, not named by the user.
    """

    id: str
    path: Path | None
    start_s: float | None = None
    end_s: float | None = None
    pose: Path | None = None
    pose_was_found: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        id: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        pose: Path | None = None,
    ) -> ClipSource:
        """Return a clip of a video named alone; without ``pose``, the ``.pose`` file beside the video is used."""
        beside = pose_beside(path) if pose is None else None
        return cls(
            id=id or str(path),
            path=path,
            start_s=start_s,
            end_s=end_s,
            pose=pose or beside,
            pose_was_found=beside is not None,
        )


class OpenClip:
    """A clip at the extractor's frame rate, and where the signer is; counts the frames that are read.

    Args:
        video: at the extractor's frame rate.
        signer: position of the signer in it.
        crops: the signer's crops, (size, size, 3) uint8 each, when they were cut before.
    """

    def __init__(self, video: Video, signer: SignerBox, crops: Iterable[Frame] | None = None) -> None:
        self.video = video
        self.signer = signer
        self.n_frames = 0
        self._crops = crops

    def frames(self) -> Generator[Frame, None, None]:
        """Yield whole frames, (H, W, 3) uint8 RGB."""
        with closing(self.video.frames()) as frames:
            yield from self._counted(frames)

    def crops(self, size: int) -> Generator[Frame, None, None]:
        """Yield the signer's crop of each frame, (size, size, 3) uint8 RGB."""
        if self._crops is not None:
            yield from self._counted(self._crops)
            return
        with closing(cropped_frames(self.video, self.signer, size)) as frames:
            yield from self._counted(frames)

    def keypoints(self, holistic: Any = Holistic) -> Generator[NDArray[np.float32], None, None]:
        """Yield the keypoints of each frame, (225,) float32, NaN where not detected; see ``keypoints_of``."""
        with closing(keypoints_of(self.video, holistic)) as keypoints:
            yield from self._counted(keypoints)

    def _counted(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.n_frames += 1
            yield item


@dataclass(frozen=True, kw_only=True)
class FrameInput:
    """A part of a clip that goes through the extractor as a whole: a window, some pictures, or some keypoints.

    Attributes:
        content: what the extractor's ``features`` takes, usually (F, S, S, 3) uint8 pixels.
        units: what it counts for in progress messages, in the extractor's ``unit``.
        window: which frames it covers, and how many at its end are padding; None: it is no window.
        reading: for reranking, which reading of the clip it belongs to.
    """

    content: Any
    units: int
    window: Window | None = None
    reading: int = 0


class Frontend(ABC):
    """One kind of extractor: which inputs it takes from a clip, and how it computes features from them.

    ``open`` and ``inputs`` decode; they run on threads, for several clips at once. ``features`` computes on one thread.
    The model is loaded by ``load``, or when features are first computed.

    Attributes:
        unit: what progress messages count.
        uses_crops: its inputs are cut from crops of the signer.
        uses_keypoints: it reads keypoints, from a ``.pose`` file when there is one.
        uses_pictures: it reads pictures even when keypoints come from a file.
        skeleton: the skeleton that keypoint files hold, a key of ``slt.video.skeletons.SKELETONS``.
        joints: the skeleton that they are converted to, likewise.
        batch_size: inputs computed together.
        card: kind, configuration and weights' file name, for the card of a bundle.
        weights: the file of the weights, with its sha256 and licence; None: there are none.
        feature_dims: width of each stream.
    """

    unit: ClassVar[str] = "frames"
    uses_crops: ClassVar[bool] = False
    uses_keypoints: bool = False
    uses_pictures: bool = True
    skeleton: str = MEDIAPIPE_75.name
    joints: str = MEDIAPIPE_75.name
    batch_size: int = 1
    card: ExtractorCard
    weights: Path | None = None
    weights_sha256: str | None = None
    licence: str | None = None
    feature_dims: tuple[int, ...]

    def __init__(self, settings: Settings, preprocess: PreprocessCard) -> None:
        self.settings = settings
        self.device = choose_device(settings.device)
        self.preprocess = preprocess.with_detector(settings.detector)
        self._model: nn.Module | None = None

    @classmethod
    def streams_of(cls, card: ExtractorCard, preprocess: PreprocessCard, sha256: str | None) -> tuple[Stream, ...]:
        """Return the feature streams of an extractor of this kind, in the order in which sign encoders take them."""
        return (Stream.of(card.kind, preprocess, sha256),)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The feature streams that this extractor makes."""
        return self.streams_of(self.card, self.preprocess, self.weights_sha256)

    @property
    def face_detector(self) -> str:
        """What finds the signer's box, a key of ``slt.video.detect.DETECTORS``."""
        return self.preprocess.detector

    @property
    def headers(self) -> tuple[StoreHeader, ...]:
        """The header of a feature store of each stream."""
        return tuple(
            stream.header(feature_dim, self.settings.dtype)
            for stream, feature_dim in zip(self.streams, self.feature_dims, strict=True)
        )

    def load(self) -> Self:
        """Load the model unless it is loaded.

        Raises:
            UserError: weights that do not fit, or no such detector.
        """
        load_detector(self.face_detector)
        if self._model is None:
            self._model = self.load_model()
        return self

    def load_model(self) -> nn.Module | None:
        """Return the model, on the device and in the dtype of the settings; None: nothing is to be loaded."""
        return None

    @property
    def model(self) -> Any:
        """The model."""
        return self.load()._model

    def open(self, clip: ClipSource, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES) -> OpenClip:
        """Open a clip at the extractor's frame rate and find the signer.

        Args:
            clip: where it lies.
            signer: position of the signer, when it is known.
            cache_bytes: decoded frames that may be kept between finding the signer and reading.

        Raises:
            UserError: there is no such video, or it cannot be read.
        """
        path = clip.path or (clip.pose if self.uses_keypoints else None)
        if path is None:
            raise UserError(
                f"the manifest names no video for {clip.id}; expected a path", fix="fill the manifest's column video"
            )
        opened = open_with_pose(
            path,
            clip.start_s,
            clip.end_s,
            pose=clip.pose if self.uses_keypoints else None,
            pictures=self.uses_pictures,
            target_fps=self.preprocess.target_fps,
            skeleton=self.skeleton,
            target=self.joints,
        )
        if self.uses_keypoints and clip.pose_was_found:
            opened.warn(POSE_BESIDE)
        return self.at_rate(opened, signer=signer, cache_bytes=cache_bytes)

    def at_rate(self, video: Video, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES) -> OpenClip:
        """Bring a video to the extractor's frame rate, and find the signer; arguments as for ``open``."""
        preprocess = self.preprocess.with_detector(self.face_detector)
        return at_rate(video, preprocess, signer=signer, cache_bytes=cache_bytes)

    @abstractmethod
    def inputs(self, clip: OpenClip, n_readings: int = 1) -> Generator[FrameInput, None, None]:
        """Cut a clip into inputs; holds little memory however long the clip is.

        Args:
            clip: read once.
            n_readings: for reranking, how many times to cut it, each time beginning a frame later. An extractor whose
                later readings are parts of the first yields the first alone.

        Raises:
            UserError: the video cannot be read to its end.
        """

    @abstractmethod
    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """Return each input's features, a tensor (N_i, feature_dim) per stream; they do not depend on the others."""

    def later_readings(self, read: Sequence[Streams], n_readings: int, n_frames: int) -> Sequence[Streams]:
        """Return the features of each reading: of the clip from its first time step, from its second, and so on.

        Args:
            read: features of the readings that ``inputs`` made.
            n_readings: how many are wanted; fewer when there are not so many time steps.
            n_frames: frames of the clip.
        """
        return skip_steps(read[0], n_readings, [1] * len(read[0]))

    def on_device(self, rows: NDArray[np.float32]) -> Tensor:
        """Return an array as a tensor on the extractor's device, in its own dtype."""
        return torch.from_numpy(rows).to(self.device)

    def is_empty(self, features: Streams) -> bool:
        """Return whether nothing was detected in any frame."""
        return False

    def n_units(self, video: Video, n_readings: int = 1) -> int | None:
        """Return how many units there will be, by the video's header; None: unknown."""
        return video.info.n_frames


def at_rate(
    video: Video, preprocess: PreprocessCard, *, signer: SignerBox | None = None, cache_bytes: int = CACHE_BYTES
) -> OpenClip:
    """Bring a video to the frame rate of ``preprocess``, and find the signer with its detector."""
    cached = CachedVideo(to_working_rate(video, target_fps=preprocess.target_fps), cache_bytes)
    return OpenClip(cached, signer or find_signer(cached, preprocess.detector))


def batch_size(device: str, input_bytes: int) -> int:
    """Return how many inputs of so many bytes of pixels are computed together on a device of this type."""
    return max(1, BATCH_BYTES.get(device, BATCH_BYTES["cpu"]) // input_bytes)


def skip_steps(features: Streams, n_readings: int, steps: Sequence[int]) -> list[Streams]:
    """Return ``n_readings`` copies of the features, each without so many more time steps of each stream's beginning."""
    most = min(-(-len(stream) // step) for stream, step in zip(features, steps, strict=True))
    return [
        tuple(stream[reading * step :] for stream, step in zip(features, steps, strict=True))
        for reading in range(min(n_readings, most))
    ]
