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
    """Where one window lies in what was translated.

    Attributes:
        start_s: its first moment, in seconds since the first frame that was read.
        end_s: its last moment, likewise; may lie past the last frame.
        padding: sampled frames at its end that repeat the last one and are masked.
    """

    start_s: float
    end_s: float
    padding: int


@dataclass(frozen=True, kw_only=True)
class Translation:
    """One translated video, or segment of a video.

    Attributes:
        video: its path, as it was given.
        model: the bundle's name.
        texts: FLORES-200 code → hypotheses, best first.
        n_frames: frames the video really has.
        fps: its frames per second.
        start_s: when the signing begins, in seconds since the video's first frame.
        end_s: when it ends, likewise.
        duration_s: how long the frames that were read last, in seconds.
        signer: the part of the picture the model saw, and how it was found.
        windows: what the extractor was fed; none when it takes single frames.
        features: (N, feature_dim) float32 on the CPU; of keypoints NaN where a joint was not seen.
        visual: (M, visual_dim) float32 on the CPU, embeddings of pictures beside keypoints; None: there are none.
        embedding: (D,) float32 on the CPU, in SONAR's space.
        timings: stage → seconds.
        warnings: what a reader of the texts should know.
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
        """Return the best text in ``lang``, or in the first language that was asked for."""
        return self.texts[lang or next(iter(self.texts))][0].text

    def as_json(self) -> dict[str, Any]:
        """Return everything but the tensors' contents, for ``json.dumps``."""
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
        video: its path, as it was given.
        error: why.
        span_s: (start, end) of the segment that was asked for, in seconds; None: the whole video.
    """

    video: str
    error: SltError
    span_s: tuple[float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what ``Translation.as_json`` cannot: the reason."""
        span = {} if self.span_s is None else dict(zip(("start_s", "end_s"), self.span_s, strict=True))
        return {"video": self.video, **span, "error": self.error.message, "fix": self.error.fix}
