"""Translate segments of videos: features, sentence embeddings, texts, and warnings about the result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor

from slt.bundle.load import LoadedBundle
from slt.core.errors import SltError, as_slt_error
from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.core.timing import StageTimer
from slt.frontend.base import Frontend
from slt.frontend.result import ClipFeatures
from slt.frontend.run import Opener, Progress, clip_features
from slt.pipeline.result import Failure, Span, Translation
from slt.pipeline.texts import EncodedClip, Texts, find_texts
from slt.text.rerank import READINGS, TextScorer
from slt.text.rerank import rerank as rerank_texts
from slt.video.windows import Window

T = TypeVar("T")

NO_PERSON = "no person detected in any frame; the translation is meaningless"


@runtime_checkable
class Remarks(Protocol):
    """A sign encoder that has something to say about a clip's features."""

    def remarks(self, features: Tensor) -> list[str]:
        """Return warnings about one clip's (N, feature_dim) features."""
        ...


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment of a video to translate: the whole video, a span of it, or one sentence.

    Attributes:
        video: path of the video, as given.
        open: opens the segment for the extractor; called once, on a thread.
        start_s: start in seconds since the video's first frame.
        end_s: end, likewise; None: end of the video.
    """

    video: str
    open: Opener
    start_s: float = 0.0
    end_s: float | None = None

    def failure(self, error: Exception) -> Failure:
        """Return why this segment could not be translated."""
        span_s = None if self.end_s is None else (self.start_s, self.end_s)
        return Failure(video=self.video, error=as_slt_error(error), span_s=span_s)


@dataclass(frozen=True, kw_only=True)
class EncodedSegment:
    """A segment whose text is looked for.

    Attributes:
        segment: which.
        found: its features, of several readings for reranking.
        readings: the sign encoder's output for each reading, a batch of one.
        timings: stage → seconds so far.
    """

    segment: Segment
    found: ClipFeatures
    readings: Sequence[EncoderOutput]
    timings: Mapping[str, float]

    @property
    def n_steps(self) -> int:
        """Steps of the encoder, of all readings."""
        return sum(one.mask.shape[1] for one in self.readings)


def translate_segment(
    bundle: LoadedBundle,
    frontend: Frontend,
    segment: Segment,
    langs: Sequence[str],
    *,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
    progress: Progress | None = None,
) -> Translation:
    """Translate one segment.

    Args:
        bundle: sign encoder and text decoder.
        frontend: the extractor.
        segment: what to translate.
        langs: FLORES-200 codes supported by the model.
        beam_size: active hypotheses in the beam search.
        nbest: texts per language, at most ``beam_size``.
        rerank: decode several readings and rank the texts of all; the text encoder must be loaded.
        progress: called with the extractor's unit, units done, and units in all.

    Raises:
        UserError: the video cannot be opened or read to its end, or a size is out of range.
    """
    encoded = read_segment(bundle, frontend, segment, rerank=rerank, clock=StageTimer(), progress=progress)
    return the_one(translate_encoded(bundle, [encoded], langs, beam_size=beam_size, nbest=nbest, rerank=rerank))


def read_segment(
    bundle: LoadedBundle,
    frontend: Frontend,
    segment: Segment,
    *,
    rerank: bool,
    clock: StageTimer,
    progress: Progress | None = None,
) -> EncodedSegment:
    """Compute the features of a segment and encode them; arguments as for ``translate_segment``.

    Raises:
        UserError: the video cannot be opened or read to its end.
    """
    n_readings = READINGS if rerank else 1
    found = clip_features(segment.open, frontend, n_readings=n_readings, clock=clock, progress=progress)
    return encode_segment(bundle, found, segment, clock=clock)


def encode_segment(
    bundle: LoadedBundle, found: ClipFeatures, segment: Segment, *, clock: StageTimer | None = None
) -> EncodedSegment:
    """Encode a segment's features; ``clock`` has the seconds of the stages before."""
    clock = clock or StageTimer()
    with clock("encoder"):
        readings = [encode(bundle.encoder, *streams) for streams in found.readings]
    return EncodedSegment(segment=segment, found=found, readings=readings, timings=dict(clock.seconds))


def translate_encoded(
    bundle: LoadedBundle,
    encoded: Sequence[EncodedSegment],
    langs: Sequence[str],
    *,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
) -> list[Translation | SltError]:
    """Translate segments together, all readings of all of them in one search; arguments as for ``translate_segment``.

    Returns:
        Of each its translation, or why there is none. The seconds of the search are divided equally among them.
    """
    began = time.perf_counter()
    clips = [EncodedClip(output=one, seconds=each.found.seconds) for each in encoded for one in each.readings]
    n_texts = beam_size if rerank else nbest
    found = iter(find_texts(bundle.decoder, clips, langs, beam_size=beam_size, nbest=n_texts))
    texts = [_texts_of(bundle, each, [next(found) for _ in each.readings], nbest, rerank=rerank) for each in encoded]
    seconds = (time.perf_counter() - began) / max(1, len(encoded))
    return [_result(bundle, each, one, seconds) for each, one in zip(encoded, texts, strict=True)]


def the_one(results: Sequence[T | SltError]) -> T:
    """Return the result of one clip alone.

    Raises:
        SltError: it failed.
    """
    (result,) = results
    if isinstance(result, SltError):
        raise result
    return result


def _texts_of(
    bundle: LoadedBundle, encoded: EncodedSegment, found: Sequence[Texts | SltError], nbest: int, *, rerank: bool
) -> Texts | SltError:
    """Return the texts of a segment by those of its readings."""
    good = [one for one in found if not isinstance(one, SltError)]
    if len(good) < len(found):
        return next(one for one in found if isinstance(one, SltError))
    try:
        return _rerank(bundle, encoded.readings, good, nbest) if rerank else good[0]
    except Exception as error:  # reported with its segment, so that it costs no other
        return as_slt_error(error)


def _result(
    bundle: LoadedBundle, encoded: EncodedSegment, texts: Texts | SltError, text_s: float
) -> Translation | SltError:
    """Return a segment's translation, or why there is none."""
    if isinstance(texts, SltError):
        return texts
    try:
        return _translation(bundle, encoded, texts, text_s)
    except Exception as error:  # reported with its segment, so that it costs no other
        return as_slt_error(error)


def _translation(bundle: LoadedBundle, encoded: EncodedSegment, texts: Texts, text_s: float) -> Translation:
    segment, found = encoded.segment, encoded.found
    features, *visual = found.readings[0]
    return Translation(
        video=segment.video,
        model=bundle.card.name,
        texts=texts,
        n_frames=found.n_frames,
        fps=found.fps,
        start_s=segment.start_s,
        end_s=segment.start_s + found.seconds if segment.end_s is None else segment.end_s,
        duration_s=found.seconds,
        signer=found.signer,
        windows=[_span(window, found.fps) for window in found.windows],
        features=features.float().cpu(),
        visual=visual[0].float().cpu() if visual else None,
        embedding=encoded.readings[0].sentence[0].float().cpu(),
        timings={**encoded.timings, "text": text_s},
        warnings=[*found.warnings, *_warnings(bundle, found, texts)],
    )


@torch.inference_mode()
def encode(encoder: torch.nn.Module, features: Tensor, visual: Tensor | None = None) -> EncoderOutput:
    """Embed one clip.

    Args:
        encoder: FeatureBatch → EncoderOutput.
        features: (N, feature_dim) float.
        visual: (M, visual_dim) float, the second stream of encoders that need one.

    Returns:
        Output of a batch of size 1.
    """
    batch = FeatureBatch.of([features], [] if visual is None else [visual])
    return encoder(batch.to(next(encoder.parameters()).device))


def _rerank(bundle: LoadedBundle, encoded: Sequence[EncoderOutput], found: Sequence[Texts], nbest: int) -> Texts:
    """Return the ``nbest`` best texts of all readings, per language."""
    readings = torch.cat([one.sentence for one in encoded])
    scorer, calibration = cast(TextScorer, bundle.decoder), bundle.card.confidence
    return {
        lang: rerank_texts(
            scorer, readings, [text for texts in found for text in texts[lang]], lang, calibration=calibration
        )[:nbest]
        for lang in found[0]
    }


def _span(window: Window, fps: float) -> Span:
    return Span(start_s=window.start / fps, end_s=(window.end + 1) / fps, padding=window.padding)


def _warnings(bundle: LoadedBundle, found: ClipFeatures, texts: Texts) -> Iterator[str]:
    """Yield warnings about the texts, beyond those about the video."""
    if found.is_empty:
        yield NO_PERSON
    elif isinstance(bundle.encoder, Remarks):
        yield from bundle.encoder.remarks(found.readings[0][0])
    most, n_frames = getattr(getattr(bundle.encoder, "config", None), "max_frames", 0), len(found.readings[0][0])
    if most and n_frames > most:
        yield (
            f"the model {bundle.card.name} reads at most {most} frames of a clip; of {n_frames}, evenly spaced ones "
            "were taken: translate shorter clips, or --segment"
        )
    if bundle.domain and bundle.card.domain and not bundle.domain.contains(found.readings[0][0]):
        yield (
            f"this video differs from the training data of the model {bundle.card.name}: {bundle.card.domain.summary}"
        )
    for lang, hypotheses in texts.items():
        if any(one.truncated for one in hypotheses):
            yield f"the text in {lang} reached the length limit for so short a video; it may be nonsense"
        if any(one.looped for one in hypotheses):
            yield f"the text in {lang} repeated itself and was decoded again without repeats; do not rely on it"
