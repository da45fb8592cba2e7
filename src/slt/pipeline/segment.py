"""Translate one segment of a video: features, sentence embedding, text, and warnings about the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from slt.bundle.load import LoadedBundle
from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.core.timing import StageTimer
from slt.frontend.base import Frontend
from slt.frontend.result import ClipFeatures
from slt.frontend.run import Opener, Progress, clip_features
from slt.pipeline.result import Span, Translation
from slt.text.decoder import Hypothesis, token_limit
from slt.text.rerank import READINGS, TextScorer
from slt.text.rerank import rerank as rerank_texts
from slt.video.windows import Window

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


def translate_segment(
    bundle: LoadedBundle,
    frontend: Frontend,
    segment: Segment,
    langs: Sequence[str],
    *,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
    clock: StageTimer | None = None,
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
        clock: measures the seconds of each stage.
        progress: called with the extractor's unit, units done, and units in all.

    Raises:
        UserError: the video cannot be opened or read to its end, or a size is out of range.
    """
    clock = clock or StageTimer()
    n_readings = READINGS if rerank else 1
    found = clip_features(segment.open, frontend, n_readings=n_readings, clock=clock, progress=progress)
    settings = {"beam_size": beam_size, "nbest": nbest}
    return translate_features(bundle, found, segment, langs, rerank=rerank, clock=clock, **settings)


def translate_features(
    bundle: LoadedBundle,
    found: ClipFeatures,
    segment: Segment,
    langs: Sequence[str],
    *,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
    clock: StageTimer | None = None,
) -> Translation:
    """Translate one segment by its features.

    Args:
        bundle: sign encoder and text decoder.
        found: the features, of several readings for reranking.
        segment: what they are of.
        langs: as for ``translate_segment``, as are the others.
        beam_size: likewise.
        nbest: likewise.
        rerank: likewise.
        clock: likewise.

    Raises:
        UserError: a size is out of range.
    """
    clock = clock or StageTimer()
    with clock("encoder"):
        encoded = [encode(bundle.encoder, *streams) for streams in found.readings]
    with clock("text"):
        settings = {"beam_size": beam_size, "max_tokens": token_limit(found.seconds)}
        each = [
            bundle.decoder.translate(one, langs, nbest=beam_size if rerank else nbest, **settings)[0] for one in encoded
        ]
        texts = _rerank(bundle, encoded, each, nbest) if rerank else each[0]
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
        embedding=encoded[0].sentence[0].float().cpu(),
        timings=clock.seconds,
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


def _rerank(
    bundle: LoadedBundle, encoded: Sequence[EncoderOutput], found: Sequence[dict[str, list[Hypothesis]]], nbest: int
) -> dict[str, list[Hypothesis]]:
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


def _warnings(bundle: LoadedBundle, found: ClipFeatures, texts: dict[str, list[Hypothesis]]) -> Iterator[str]:
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
