"""From a video to its translations: the whole story, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from slt.assets.cards import BundleCard
from slt.bundle import LoadedBundle, load_bundle
from slt.errors import as_slt_error
from slt.models.signhiera import normalise
from slt.obtain import obtain
from slt.segment.finder import SentenceLimits
from slt.segment.stream import find_sentences
from slt.stopwatch import Stopwatch
from slt.tensors import EncoderOutput, FeatureBatch
from slt.text.decoder import Hypothesis, token_limit
from slt.text.languages import check_languages
from slt.text.rerank import READINGS, Judge
from slt.text.rerank import rerank as rerank_texts
from slt.translation import Failure, Span, Translation
from slt.video.ahead import read_ahead
from slt.video.base import Frame, Video
from slt.video.crop import SignerBox, find_signer
from slt.video.decode import open_video
from slt.video.kept import KeptVideo
from slt.video.rate import to_working_rate
from slt.video.span import open_span
from slt.video.stream import cropped_frames, in_turn, late_starts, timed_crops
from slt.video.windows import Window, plan_windows

Progress = Callable[[str, int, int | None], None]
"""Called with what is being made, how much of it is done, and how much there will be (None: nobody knows)."""

DEFAULT_LANG = "eng_Latn"

# One full-size window keeps every core busy, and holds 2 GB while it does; a GPU wants more to do at once.
WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 8}

# Cropped frames that wait for the extractor: those of two full-size windows take 40 MB.
FRAMES_AHEAD = 256


@dataclass(frozen=True, kw_only=True)
class Signing:
    """A stretch of a video in which somebody signs: the signer's pictures, and where they come from.

    Attributes:
        video: the video's path, as it was given.
        source: the video, at the rate of ``crops``.
        signer: where the signer is in it.
        crops: the signer in each frame, (size, size, 3) uint8 RGB; read once.
        start_s: when it begins, in seconds since the video's first frame.
        end_s: when it ends; None: when its frames are over.
    """

    video: str
    source: Video
    signer: SignerBox
    crops: Iterable[Frame]
    start_s: float = 0.0
    end_s: float | None = None


class Translator:
    """Translates videos with one model, which is loaded when it is first needed.

    Args:
        model: a bundle's name, or the path of its folder.
        device: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or "float16".
        text_dtype: the same for the text decoder, or "int8" on a CPU; None as ``dtype``.
        detector: how the signer is found, a key of ``slt.video.detect.DETECTORS`` or ``dlib-cnn=FILE``; None as the
            model's card says.

    Example:
        >>> from slt import Translator
        >>> Translator("demo").translate("clip.mp4").text()
    """

    def __init__(
        self,
        model: str | Path = "demo",
        *,
        device: str = "auto",
        dtype: str = "float32",
        text_dtype: str | None = None,
        detector: str | None = None,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.text_dtype = text_dtype
        self.detector = detector
        self._bundle: LoadedBundle | None = None
        self._has_text_encoder = False

    def load(self, *, text_encoder: bool = False, progress: Progress | None = None) -> LoadedBundle:
        """Load the model, unless it is already; a published one is fetched and imported first, unless it is here.

        Args:
            text_encoder: also load what turns text into embeddings, which reranking needs.
            progress: told of what is fetched and imported.

        Raises:
            UserError: no such model, device or dtype, or files that are not what the model's card says.
            SltError: what is to be fetched cannot be.
        """
        if self._bundle is None or (text_encoder and not self._has_text_encoder):
            obtain(self.model, text_encoder=text_encoder, progress=progress)
            self._bundle = load_bundle(
                self.model,
                device=self.device,
                dtype=self.dtype,
                text_dtype=self.text_dtype,
                text_encoder=text_encoder,
            )
            self._has_text_encoder = text_encoder
        return self._bundle

    def translate(
        self,
        video: str | Path,
        langs: Sequence[str] | None = None,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        beam_size: int = 5,
        nbest: int = 1,
        rerank: bool = False,
        progress: Progress | None = None,
    ) -> Translation:
        """Translate one video file or folder of frames, or a stretch of it as if it were a video of its own.

        Args:
            video: its path.
            langs: FLORES-200 codes; None is English, or the first language of a model without it.
            start_s: frames from then on, in seconds since the video's first frame; None is the beginning.
            end_s: frames before then, likewise; None is the end.
            beam_size: hypotheses kept alive in the decoder's search.
            nbest: texts per language, at most ``beam_size``.
            rerank: read the video several times, and weigh the texts of all readings; needs a text encoder.
            progress: told of each batch of windows that went through the extractor.

        Raises:
            UserError: not a readable video, a language the model does not write, or a size out of range.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        clock = Stopwatch()
        with clock("signer"):
            opened = open_span(Path(video), start_s, end_s)
        signing = look_at(bundle, opened, video=str(video), clock=clock, detector=self.detector)
        signing = replace(signing, start_s=start_s or 0.0, end_s=end_s)
        return translate_signing(
            bundle, signing, langs, beam_size=beam_size, nbest=nbest, rerank=rerank, clock=clock, progress=progress
        )

    def segments(
        self,
        video: str | Path,
        langs: Sequence[str] | None = None,
        *,
        limits: SentenceLimits | None = None,
        beam_size: int = 5,
        nbest: int = 1,
        rerank: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Translation]:
        """Find the sentences in a continuous video; yield each translation as soon as there is one.

        Memory does not grow with the video's length. All arguments but these two are those of ``translate``.

        Args:
            video: its path.
            langs: FLORES-200 codes.
            limits: what counts as a sentence; ``SentenceLimits()`` when None.
            beam_size: hypotheses kept alive in the decoder's search.
            nbest: texts per language.
            rerank: read each sentence several times.
            progress: told, after each sentence, how many seconds of the video are done.

        Raises:
            UserError: as for ``translate``; when the video cannot be read to its end, after what could be read.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        settings: dict[str, Any] = {"beam_size": beam_size, "nbest": nbest, "rerank": rerank}
        clock = Stopwatch()
        with clock("signer"):
            source, signer = _find_signer(bundle, open_video(Path(video)), self.detector)
        fps, n_frames = source.info.fps, source.info.n_frames
        crops = read_ahead(timed_crops(source, signer, bundle.card.preprocess.size), FRAMES_AHEAD)
        with closing(crops):
            for sentence in clock.each("frames", find_sentences(crops, fps=fps, limits=limits)):
                signing = Signing(
                    video=str(video),
                    source=source,
                    signer=signer,
                    crops=sentence.crops,
                    start_s=sentence.start_s,
                    end_s=sentence.end_s,
                )
                yield translate_signing(bundle, signing, langs, clock=clock, **settings)
                clock.seconds = {}
                if progress:
                    progress("seconds of video", int(sentence.end_s), int(n_frames / fps) if n_frames else None)

    def translate_many(
        self,
        videos: Iterable[str | Path],
        langs: Sequence[str] | None = None,
        *,
        beam_size: int = 5,
        nbest: int = 1,
        rerank: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Translation | Failure]:
        """Translate videos one after another; one that is broken costs only itself.

        Arguments as for ``translate``; what is wrong with the model or the languages is raised before the first video.
        """
        card = self.load(text_encoder=rerank).card
        check_languages(langs or _default_langs(card), card.languages)
        for video in videos:
            try:
                yield self.translate(video, langs, beam_size=beam_size, nbest=nbest, rerank=rerank, progress=progress)
            except Exception as error:  # a bug that one video meets must not cost the others; it is told, not hidden
                yield Failure(video=str(video), error=as_slt_error(error))


def look_at(
    bundle: LoadedBundle, opened: Video, *, video: str, clock: Stopwatch, detector: str | None = None
) -> Signing:
    """Find the signer in a video, all of which is signing.

    Args:
        bundle: whose models will see it.
        opened: the video, at any rate.
        video: what to call it.
        clock: counts the seconds of this, and those of reading the pictures later.
        detector: as for ``Translator``.

    Raises:
        UserError: the video cannot be read.
    """
    with clock("signer"):
        source, signer = _find_signer(bundle, opened, detector)
    cropped = cropped_frames(source, signer, bundle.card.preprocess.size)
    crops = clock.each("frames", read_ahead(cropped, FRAMES_AHEAD))
    return Signing(video=video, source=source, signer=signer, crops=crops)


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
    """Translate one stretch of signing, from the signer's pictures on.

    Args:
        bundle: the models.
        signing: whose pictures, and where they come from.
        langs: FLORES-200 codes that the model writes.
        beam_size: hypotheses kept alive in the decoder's search.
        nbest: texts per language, at most ``beam_size``.
        rerank: read the pictures several times, and weigh the texts of all readings; the text encoder must be loaded.
        clock: counts the stages' seconds, earlier ones among them.
        progress: told of each batch of windows that went through the extractor.

    Raises:
        UserError: the video cannot be read to its end, or a size is out of range.
    """
    clock = clock or Stopwatch()
    fps = signing.source.info.fps
    n_readings = READINGS if rerank else 1
    streams = late_starts(signing.crops, n_readings, fps=fps, geometry=bundle.geometry)
    with clock("features"):
        counter = _counter(progress, signing.source, bundle, n_readings)
        readings = extract_several(bundle.extractor, in_turn(streams), on_windows=counter)
    with clock("encoder"):
        encoded = [encode(bundle.encoder, features) for features in readings.values()]
    windows, features, embedding = streams[0], readings[0], encoded[0].sentence[0]
    duration_s = windows.n_frames / fps
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
        n_frames=windows.n_frames,
        fps=fps,
        start_s=signing.start_s,
        end_s=signing.start_s + duration_s if signing.end_s is None else signing.end_s,
        duration_s=duration_s,
        signer=signing.signer,
        windows=[_span(window, fps) for window in windows.windows],
        features=features.float().cpu(),
        embedding=embedding.float().cpu(),
        timings=clock.seconds,
        warnings=[*signing.source.warnings, *_doubts(bundle, signing.signer, features, texts)],
    )


def extract_features(
    extractor: nn.Module,
    windows: Iterable[tuple[Window, NDArray[np.uint8]]],
    *,
    on_windows: Callable[[int], None] | None = None,
) -> Tensor:
    """Turn the windows of one clip into its features.

    Args:
        extractor: (B, 3, T, H, W) pixels and (B,) padding to a FeatureBatch; on any device, in any floating dtype.
        windows: each with its pixels, (num_frames, size, size, 3) uint8; a ``WindowStream``.
        on_windows: called with the number of windows done.

    Returns:
        (N, feature_dim) on the extractor's device, window after window, padding dropped.
    """
    (features,) = extract_several(extractor, ((0, *window) for window in windows), on_windows=on_windows).values()
    return features


@torch.inference_mode()
def extract_several(
    extractor: nn.Module,
    windows: Iterable[tuple[int, Window, NDArray[np.uint8]]],
    *,
    on_windows: Callable[[int], None] | None = None,
) -> dict[int, Tensor]:
    """Turn windows of several clips, in any order, into the features of each; windows of all clips share batches.

    Args:
        extractor: as for ``extract_features``.
        windows: each with the number of its clip before it.
        on_windows: called with the number of windows done.

    Returns:
        number of the clip → (N, feature_dim), as ``extract_features`` gives.
    """
    at_once = WINDOWS_AT_ONCE.get(next(extractor.parameters()).device.type, 1)
    rows: dict[int, list[Tensor]] = {}
    waiting, done = iter(windows), 0
    while batch := list(islice(waiting, at_once)):
        pixels, padding = [part[2] for part in batch], [part[1].padding for part in batch]
        found = window_features(extractor, pixels, padding)
        for (clip, _, _), features in zip(batch, found, strict=True):
            rows.setdefault(clip, []).append(features)
        done += len(batch)
        if on_windows:
            on_windows(done)
    return {clip: torch.cat(parts) for clip, parts in rows.items()}


@torch.inference_mode()
def window_features(extractor: nn.Module, pixels: Sequence[NDArray[np.uint8]], padding: Sequence[int]) -> list[Tensor]:
    """Put windows, of whichever clips, through the extractor together.

    Args:
        extractor: as for ``extract_features``.
        pixels: of each window, (num_frames, size, size, 3) uint8.
        padding: of each window, how many frames at its end only repeat the last one.

    Returns:
        Each window's own features, (N_i, feature_dim), padding dropped.
    """
    weight = next(extractor.parameters())
    frames = torch.from_numpy(np.stack(pixels)).to(weight.device)
    return extractor(normalise(frames).to(weight.dtype), torch.tensor(padding)).clips()


@torch.inference_mode()
def encode(encoder: nn.Module, features: Tensor) -> EncoderOutput:
    """Embed one clip.

    Args:
        encoder: a FeatureBatch to an EncoderOutput; on the features' device.
        features: (N, feature_dim).

    Returns:
        The output of a batch of one.
    """
    return encoder(FeatureBatch.of([features]))


def _find_signer(bundle: LoadedBundle, opened: Video, detector: str | None) -> tuple[Video, SignerBox]:
    """Return a video at the model's rate, and where the signer is in it."""
    source = KeptVideo(to_working_rate(opened, target_fps=bundle.geometry.target_fps))
    return source, find_signer(source, detector or bundle.card.preprocess.detector)


def _default_langs(card: BundleCard) -> tuple[str, ...]:
    return (DEFAULT_LANG,) if DEFAULT_LANG in card.languages else card.languages[:1]


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


def _counter(
    progress: Progress | None, source: Video, bundle: LoadedBundle, n_readings: int
) -> Callable[[int], None] | None:
    """Tell ``progress`` of windows done, of as many as the video's header promises."""
    if progress is None:
        return None
    promised = source.info.n_frames
    total = n_readings * len(plan_windows(promised, source.info.fps, bundle.geometry)) if promised else None
    return lambda done: progress("windows", done, total)


def _span(window: Window, fps: float) -> Span:
    return Span(start_s=window.start / fps, end_s=(window.end + 1) / fps, padding=window.padding)


def _doubts(
    bundle: LoadedBundle, signer: SignerBox, features: Tensor, texts: dict[str, list[Hypothesis]]
) -> Iterator[str]:
    """Say what a reader of the texts should know beyond what is odd about the video."""
    if signer.note:
        yield signer.note
    if bundle.domain and bundle.card.domain and not bundle.domain.knows(features):
        yield f"this video does not look like what the model {bundle.card.name} knows: {bundle.card.domain.summary}"
    for lang, hypotheses in texts.items():
        if any(one.truncated for one in hypotheses):
            yield f"the text in {lang} was still going on at the length limit for so short a video: it may be nonsense"
        if any(one.looped for one in hypotheses):
            yield f"the text in {lang} went round in circles; this one forbids repeats, and is not to be trusted"
