"""The protocol of an extractor: open a clip, cut it into model inputs, compute features from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

from torch import Tensor, nn

from slt.assets.cards import ExtractorCard, PreprocessCard
from slt.bundle.load import choose_dtype
from slt.core.device import choose_device
from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.frontend.batching import batch_size
from slt.frontend.clip import ClipSource, OpenClip, at_rate
from slt.frontend.streams import Stream
from slt.video.base import Video
from slt.video.cache import CACHE_BYTES
from slt.video.crop import SignerBox
from slt.video.detect import load_detector
from slt.video.pose_file import open_with_pose
from slt.video.skeletons import MEDIAPIPE_75
from slt.video.windows import Window

Streams: TypeAlias = tuple[Tensor, ...]
"""Features of one clip: (N, feature_dim); for extractors with a second stream also (M, visual_dim)."""

POSE_BESIDE = "keypoints were read from the .pose file beside the video"


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
        compiles: compile SignHiera's blocks by torch; other extractors run as they are.
    """

    model: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    detector: str | None = None
    skeleton: str | None = None
    compiles: bool = False


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
        is_square: y of its keypoints is in picture widths, like x; otherwise in picture heights.
        input_bytes: bytes of pixels of one input; 0: nothing is computed from it.
        card: kind, configuration and weights' file name, for the card of a bundle.
        weights: the file of the weights, with its sha256 and licence; None: there are none.
        feature_dims: width of each stream.
    """

    unit: ClassVar[str] = "frames"
    uses_crops: ClassVar[bool] = False
    uses_keypoints: bool = False
    uses_pictures: bool = True
    skeleton: str = MEDIAPIPE_75.name
    is_square: bool = False
    joints: str = MEDIAPIPE_75.name
    input_bytes: int = 0
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

    @cached_property
    def batch_size(self) -> int:
        """Inputs computed together; less where memory ran out."""
        itemsize = choose_dtype(self.settings.dtype).itemsize
        return batch_size(self.device, self.input_bytes, itemsize) if self.input_bytes else 1

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

    def is_empty(self, features: Streams) -> bool:
        """Return whether nothing was detected in any frame."""
        return False

    def n_units(self, video: Video, n_readings: int = 1) -> int | None:
        """Return how many units there will be, by the video's header; None: unknown."""
        return video.info.n_frames


def skip_steps(features: Streams, n_readings: int, steps: Sequence[int]) -> list[Streams]:
    """Return ``n_readings`` copies of the features, each without so many more time steps of each stream's beginning."""
    most = min(-(-len(stream) // step) for stream, step in zip(features, steps, strict=True))
    return [
        tuple(stream[reading * step :] for stream, step in zip(features, steps, strict=True))
        for reading in range(min(n_readings, most))
    ]
