"""One stretch of signing becomes text: find the signer, look, encode, search, and say what to make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from slt.bundle.load import LoadedBundle
from slt.core.tensors import EncoderOutput
from slt.core.timing import Stopwatch
from slt.frontend.combined import Glimpse, Seen, Sight, sight_of
from slt.frontend.stages import encode
from slt.pipeline.result import Span, Translation
from slt.text.decoder import Hypothesis, token_limit
from slt.text.rerank import READINGS, Judge
from slt.text.rerank import rerank as rerank_texts
from slt.video.base import Video
from slt.video.cache import KeptVideo
from slt.video.crop import SignerBox, find_signer
from slt.video.prefetch import read_ahead
from slt.video.rate import to_working_rate
from slt.video.windows import Window

Progress = Callable[[str, int, int | None], None]
"""Called with what is being made, how much of it is done, and how much there will be (None: nobody knows)."""

# Glimpses that wait for the extractor: the cropped frames of two full-size windows take 40 MB.
FRAMES_AHEAD = 256


@dataclass(frozen=True, kw_only=True)
class Signing:
    """A stretch of a video in which somebody signs: what is to be seen of it, and where that comes from.

    Attributes:
        video: the video's path, as it was given.
        source: the video, at the rate of ``glimpses``.
        signer: where the signer is in it.
        glimpses: what the extractor looks at in each frame, as its ``Sight`` takes it; read once.
        start_s: when it begins, in seconds since the video's first frame.
        end_s: when it ends; None: when its frames are over.
    """

    video: str
    source: Video
    signer: SignerBox
    glimpses: Iterable[Glimpse]
    start_s: float = 0.0
    end_s: float | None = None


def look_at(
    bundle: LoadedBundle,
    opened: Video,
    *,
    video: str,
    clock: Stopwatch,
    detector: str | None = None,
    signer: SignerBox | None = None,
) -> Signing:
    """Find the signer in a video, all of which is signing, and begin to look.

    Args:
        bundle: whose models will see it.
        opened: the video, at any rate.
        video: what to call it.
        clock: counts the seconds of this, and those of reading frames later.
        detector: as for ``Translator``.
        signer: where the signer is, if that is known.

    Raises:
        UserError: the video cannot be read.
    """
    with clock("signer"):
        source = at_rate_of(bundle, opened)
        signer = signer or find_in(bundle, source, detector)
    glimpses = read_ahead(sight_of(bundle).glimpses(source, signer), FRAMES_AHEAD)
    return Signing(video=video, source=source, signer=signer, glimpses=clock.each("frames", glimpses))


def translate_signing(
    bundle: LoadedBundle,
    signing: Signing,
    langs: Sequence[str],
    *,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
    clock: Stopwatch | None = None,
    progress: Progress | None = None,
) -> Translation:
    """Translate one stretch of signing, from what is to be seen of it on.

    Args:
        bundle: the models.
        signing: what is to be seen, and where that comes from.
        langs: FLORES-200 codes that the model writes.
        beam_size: hypotheses kept alive in the decoder's search.
        nbest: texts per language, at most ``beam_size``.
        rerank: read it several times, and weigh the texts of all readings; the text encoder must be loaded.
        clock: counts the stages' seconds, earlier ones among them.
        progress: told of the windows or frames that went through the extractor.

    Raises:
        UserError: the video cannot be read to its end, or a size is out of range.
    """
    clock = clock or Stopwatch()
    fps = signing.source.info.fps
    n_readings, sight = READINGS if rerank else 1, sight_of(bundle)
    with clock("features"):
        counter = _counter(progress, signing.source, sight, n_readings)
        seen = sight.see(signing.glimpses, fps, n_readings=n_readings, on_done=counter)
    with clock("encoder"):
        encoded = [encode(bundle.encoder, *streams) for streams in seen.readings]
    features, *visual = seen.readings[0]
    duration_s = seen.n_frames / fps
    with clock("text"):
        settings = {"beam_size": beam_size, "max_tokens": token_limit(duration_s)}
        found = [
            bundle.decoder.translate(one, langs, nbest=beam_size if rerank else nbest, **settings)[0] for one in encoded
        ]
        texts = _rerank(bundle, encoded, found, nbest) if rerank else found[0]
    return Translation(
        video=signing.video,
        model=bundle.card.name,
        texts=texts,
        n_frames=seen.n_frames,
        fps=fps,
        start_s=signing.start_s,
        end_s=signing.start_s + duration_s if signing.end_s is None else signing.end_s,
        duration_s=duration_s,
        signer=signing.signer,
        windows=[_span(window, fps) for window in seen.windows],
        features=features.float().cpu(),
        visual=visual[0].float().cpu() if visual else None,
        embedding=encoded[0].sentence[0].float().cpu(),
        timings=clock.seconds,
        warnings=[*signing.source.warnings, *_doubts(bundle, signing.signer, seen, texts)],
    )


def at_rate_of(bundle: LoadedBundle, opened: Video) -> Video:
    """Return a video at the rate that a bundle's models were made for."""
    return KeptVideo(to_working_rate(opened, target_fps=bundle.geometry.target_fps))


def find_in(bundle: LoadedBundle, source: Video, detector: str | None) -> SignerBox:
    """Return where the signer is in a video, by the detector asked for or the bundle's own."""
    return find_signer(source, detector or bundle.card.preprocess.detector)


def _rerank(
    bundle: LoadedBundle, encoded: Sequence[EncoderOutput], found: Sequence[dict[str, list[Hypothesis]]], nbest: int
) -> dict[str, list[Hypothesis]]:
    """Return the best ``nbest`` of the texts that all readings gave, language by language."""
    readings = torch.cat([one.sentence for one in encoded])
    judge, calibration = cast(Judge, bundle.decoder), bundle.card.confidence
    return {
        lang: rerank_texts(
            judge, readings, [text for texts in found for text in texts[lang]], lang, calibration=calibration
        )[:nbest]
        for lang in found[0]
    }


def _counter(progress: Progress | None, source: Video, sight: Sight, n_readings: int) -> Callable[[int], None] | None:
    """Tell ``progress`` of windows or frames done, of as many as the video's header promises."""
    if progress is None:
        return None
    total = sight.expected(source, n_readings)
    return lambda done: progress(sight.unit, done, total)


def _span(window: Window, fps: float) -> Span:
    return Span(start_s=window.start / fps, end_s=(window.end + 1) / fps, padding=window.padding)


def _doubts(bundle: LoadedBundle, signer: SignerBox, seen: Seen, texts: dict[str, list[Hypothesis]]) -> Iterator[str]:
    """Say what a reader of the texts should know beyond what is odd about the video."""
    if signer.note:
        yield signer.note
    yield from seen.notes
    if bundle.domain and bundle.card.domain and not bundle.domain.knows(seen.readings[0][0]):
        yield f"this video does not look like what the model {bundle.card.name} knows: {bundle.card.domain.summary}"
    for lang, hypotheses in texts.items():
        if any(one.truncated for one in hypotheses):
            yield f"the text in {lang} was still going on at the length limit for so short a video: it may be nonsense"
        if any(one.looped for one in hypotheses):
            yield f"the text in {lang} went round in circles; this one forbids repeats, and is not to be trusted"
