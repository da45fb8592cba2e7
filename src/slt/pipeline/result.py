"""The result of a translation: texts, position, timings and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slt.core.errors import SltError

if TYPE_CHECKING:
    from torch import Tensor

    from slt.text.decoder import Hypothesis
    from slt.video.crop import SignerBox


@dataclass(frozen=True, kw_only=True)
class Span:
    """Position of one window in the translated segment.

    Attributes:
        start_s: start in seconds since the first frame of the segment.
        end_s: end, likewise; may lie after the last frame.
        padding: masked frames at its end, copies of the last sampled frame.
    """

    start_s: float
    end_s: float
    padding: int


@dataclass(frozen=True, kw_only=True)
class Translation:
    """One translated video, or segment of a video.

    Attributes:
        video: path of the video, as given.
        model: name of the bundle.
        texts: FLORES-200 code → hypotheses, best first.
        n_frames: number of decoded frames of the video.
        fps: frames per second.
        start_s: start of the signing in seconds since the video's first frame.
        end_s: end of the signing, likewise.
        duration_s: duration of the decoded frames in seconds.
        signer: crop around the signer, and how it was found.
        windows: windows given to the extractor; empty for frame-wise extractors.
        features: (N, feature_dim) float32 on the CPU; for keypoints, NaN where a joint was not detected.
        visual: (M, visual_dim) float32 on the CPU, image embeddings beside keypoints; None: no second stream.
        embedding: (D,) float32 on the CPU, in SONAR space.
        timings: stage → seconds.
        warnings: remarks about the reliability of the texts.
    """

    video: str
    model: str
    texts: Mapping[str, Sequence[Hypothesis]]
    n_frames: int
    fps: float
    start_s: float
    end_s: float
    duration_s: float
    signer: SignerBox
    windows: Sequence[Span]
    features: Tensor
    visual: Tensor | None = None
    embedding: Tensor
    timings: Mapping[str, float]
    warnings: Sequence[str]

    def text(self, lang: str | None = None) -> str:
        """Return the best text in ``lang``, by default the first requested language."""
        return self.texts[lang or next(iter(self.texts))][0].text

    def as_json(self) -> dict[str, Any]:
        """Return all attributes but the contents of tensors, for ``json.dumps``."""
        box = self.signer.box
        return {
            "video": self.video,
            "model": self.model,
            "texts": {lang: [one.as_json() for one in hypotheses] for lang, hypotheses in self.texts.items()},
            "n_frames": self.n_frames,
            "fps": round(self.fps, 6),
            "start_s": round(self.start_s, 6),
            "end_s": round(self.end_s, 6),
            "duration_s": round(self.duration_s, 6),
            "signer": {**asdict(self.signer), "box": [round(edge, 6) for edge in box]},
            "windows": [
                {"start_s": round(span.start_s, 6), "end_s": round(span.end_s, 6), "padding": span.padding}
                for span in self.windows
            ],
            "feature_shape": list(self.features.shape),
            **({} if self.visual is None else {"visual_shape": list(self.visual.shape)}),
            "embedding_dim": len(self.embedding),
            "timings_s": {stage: round(value, 6) for stage, value in self.timings.items()},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A video, or a segment of one, that could not be translated.

    Attributes:
        video: path of the video, as given.
        error: the error.
        span_s: (start, end) of the requested segment in seconds; None: the whole video.
    """

    video: str
    error: SltError
    span_s: tuple[float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the video, its segment and the error, for ``json.dumps``."""
        span = {} if self.span_s is None else dict(zip(("start_s", "end_s"), self.span_s, strict=True))
        return {"video": self.video, **span, "error": self.error.message, "fix": self.error.fix}
