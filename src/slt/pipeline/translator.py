"""Translate videos: whole, in part, or sentence by sentence."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from slt.assets.cards import BundleCard
from slt.bundle.load import LoadedBundle, load_bundle
from slt.bundle.resolve import make_available
from slt.core.device import is_accelerator
from slt.core.timing import StageTimer
from slt.frontend.base import Frontend, Settings
from slt.frontend.clip import ClipSource, OpenClip
from slt.frontend.registry import make_frontend
from slt.frontend.run import Progress
from slt.pipeline.groups import translate_in_groups
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import EncodedSegment, Segment, read_segment, translate_segment
from slt.pipeline.texts import CLIPS_ON_ACCELERATOR
from slt.segmentation.finder import SentenceLimits
from slt.segmentation.stream import Sentence, find_sentences
from slt.text.languages import check_languages
from slt.video.pose_file import open_with_pose
from slt.video.prefetch import prefetch
from slt.video.stream import timed_crops

DEFAULT_LANG = "eng_Latn"
FRAMES_AHEAD = 256
"""Decoded frames that may wait for the sentence finder."""


class Translator:
    """Translates videos with one model, which is loaded on first use.

    Args:
        model: name or folder of a bundle.
        device: "auto" (a GPU if available), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or "float16".
        text_dtype: dtype of the text decoder, also "int8" on a CPU; None: ``dtype``.
        detector: signer detector, a key of ``slt.video.detect.DETECTORS`` or ``dlib-cnn=FILE``; None: as in the
            model's card.
        text_engine: what computes SONAR's text models: "fairseq2", "transformers", or None: fairseq2 where it can be
            imported, else transformers.

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
        text_engine: str | None = None,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.text_dtype = text_dtype
        self.detector = detector
        self.text_engine = text_engine
        self._bundle: LoadedBundle | None = None
        self._frontend: Frontend | None = None
        self._has_text_encoder = False

    def load(self, *, text_encoder: bool = False, progress: Progress | None = None) -> LoadedBundle:
        """Load the model once; a published model is fetched and imported first if it is not installed.

        Args:
            text_encoder: also load the text encoder, which reranking needs.
            progress: called while fetching and importing.

        Raises:
            UserError: no such model, device, dtype or text engine, files that do not match the model's card, or a
                detector that the model does not use.
            SltError: fetching failed.
        """
        if self._bundle is None or (text_encoder and not self._has_text_encoder):
            make_available(self.model, text_encoder=text_encoder, progress=progress)
            self._bundle = load_bundle(
                self.model,
                device=self.device,
                dtype=self.dtype,
                text_dtype=self.text_dtype,
                text_encoder=text_encoder,
                text_engine=self.text_engine,
            )
            self._has_text_encoder = text_encoder
            self.frontend.load()
        return self._bundle

    @property
    def frontend(self) -> Frontend:
        """The model's extractor."""
        if self._frontend is None:
            settings = Settings(model=str(self.model), device=self.device, dtype=self.dtype, detector=self.detector)
            self._frontend = make_frontend(None, settings)
        return self._frontend

    def translate(
        self,
        video: str | Path,
        langs: Sequence[str] | None = None,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        pose: str | Path | None = None,
        beam_size: int = 5,
        nbest: int = 1,
        rerank: bool = False,
        progress: Progress | None = None,
    ) -> Translation:
        """Translate one video file or folder of frames, or a segment of it.

        Args:
            video: path; may be a ``.pose`` file for a model that uses keypoints only.
            langs: FLORES-200 codes; None: English, or the model's first language if English is unsupported.
            start_s: start of the segment in seconds since the video's first frame; None: start of the video.
            end_s: end of the segment, likewise; None: end of the video.
            pose: ``.pose`` file of the whole video, for models that use keypoints; None: the file of the same name
                beside the video, otherwise joints are detected.
            beam_size: active hypotheses in the beam search.
            nbest: texts per language, at most ``beam_size``.
            rerank: decode several readings of the video and rank the texts of all; needs a text encoder.
            progress: called with (unit, done, total) of windows or frames.

        Raises:
            UserError: the video cannot be read, an unsupported language, or a size out of range.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        segment = self._segment(video, start_s, end_s, Path(pose) if pose else None)
        return translate_segment(
            bundle, self.frontend, segment, langs, beam_size=beam_size, nbest=nbest, rerank=rerank, progress=progress
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
        together: bool = True,
        progress: Progress | None = None,
    ) -> Iterator[Translation]:
        """Segment a continuous video into sentences and yield each translation as soon as it is available.

        Memory use does not depend on the video's length. On an accelerator the texts of several sentences are searched
        together, as for ``translate_many``.

        Args:
            video: path.
            langs: as for ``translate``.
            limits: settings of sentence segmentation; None: ``SentenceLimits()``.
            beam_size: as for ``translate``.
            nbest: likewise.
            rerank: likewise.
            together: False: no sentence waits for another.
            progress: called after each sentence with the seconds of video done.

        Raises:
            UserError: as for ``translate``; a damaged video raises after its readable part has been translated.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        items = self._sentences(bundle, Path(video), limits, rerank=rerank, progress=progress)
        most = self._clips_at_once if together else 1
        settings: dict[str, Any] = {"most": most, "beam_size": beam_size, "nbest": nbest, "rerank": rerank}
        with closing(items):
            for outcome in translate_in_groups(bundle, items, langs, **settings):
                if isinstance(outcome, Failure):
                    raise outcome.error
                yield outcome

    def _sentences(
        self,
        bundle: LoadedBundle,
        video: Path,
        limits: SentenceLimits | None,
        *,
        rerank: bool,
        progress: Progress | None,
    ) -> Generator[EncodedSegment, None, None]:
        """Yield the sentences of a video, encoded."""
        clock = StageTimer()
        with clock("signer"):
            whole = self.frontend.at_rate(open_with_pose(video))
        fps, n_frames = whole.video.info.fps, whole.video.info.n_frames
        crops = prefetch(timed_crops(whole.video, whole.signer, bundle.card.preprocess.size), FRAMES_AHEAD)
        with closing(crops):
            for sentence in clock.each("frames", find_sentences(crops, fps=fps, limits=limits)):
                opener = partial(self._open_sentence, video, sentence, whole)
                segment = Segment(video=str(video), open=opener, start_s=sentence.start_s, end_s=sentence.end_s)
                yield read_segment(bundle, self.frontend, segment, rerank=rerank, clock=clock)
                clock.seconds = {}
                if progress:
                    progress("seconds of video", int(sentence.end_s), int(n_frames / fps) if n_frames else None)

    def _open_sentence(self, video: Path, sentence: Sentence, whole: OpenClip) -> OpenClip:
        """Open one sentence: its buffered crops, or its frames again for extractors that do not use crops."""
        if self.frontend.uses_crops:
            return OpenClip(whole.video, whole.signer, sentence.crops)
        clip = ClipSource.of(video, start_s=sentence.start_s, end_s=sentence.end_s)
        return self.frontend.open(clip, signer=whole.signer)

    def translate_many(
        self,
        videos: Iterable[str | Path],
        langs: Sequence[str] | None = None,
        *,
        spans: Sequence[tuple[float, float]] = (),
        beam_size: int = 5,
        nbest: int = 1,
        rerank: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Translation | Failure]:
        """Translate videos in turn; a failed video yields a ``Failure``.

        On an accelerator the texts of several videos are searched together, in groups that grow from one
        (``slt.pipeline.groups``): features are computed fast there, and a search hardly takes longer for many. On a CPU
        each text is searched, and yielded, at once: features of the published model take nearly three times as long as
        the search, so that waiting for other videos would cost each text more than all gain together, a tenth.

        Args:
            videos: paths.
            langs: as for ``translate``.
            spans: (start, end) in seconds of the segments of each video to translate, in turn; none: whole videos.
            beam_size: as for ``translate``, as are the others.
            nbest: likewise.
            rerank: likewise.
            progress: likewise; also called for texts that are searched together.

        Raises:
            UserError: an unknown model or an unsupported language, before the first video.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        chosen: Sequence[tuple[float | None, float | None]] = spans or [(None, None)]
        segments = (self._segment(video, *span) for video in videos for span in chosen)
        items = (self._read(bundle, segment, rerank=rerank, progress=progress) for segment in segments)
        settings: dict[str, Any] = {"beam_size": beam_size, "nbest": nbest, "rerank": rerank, "progress": progress}
        yield from translate_in_groups(bundle, items, langs, most=self._clips_at_once, **settings)

    @property
    def _clips_at_once(self) -> int:
        """How many clips may wait for each other, to be searched together."""
        return CLIPS_ON_ACCELERATOR if is_accelerator(self.frontend.device) else 1

    def _segment(
        self, video: str | Path, start_s: float | None, end_s: float | None, pose: Path | None = None
    ) -> Segment:
        """Return a video, or a segment of it, to be translated."""
        clip = ClipSource.of(Path(video), start_s=start_s, end_s=end_s, pose=pose)
        return Segment(video=str(video), open=partial(self.frontend.open, clip), start_s=start_s or 0.0, end_s=end_s)

    def _read(
        self, bundle: LoadedBundle, segment: Segment, *, rerank: bool, progress: Progress | None
    ) -> EncodedSegment | Failure:
        try:
            return read_segment(bundle, self.frontend, segment, rerank=rerank, clock=StageTimer(), progress=progress)
        except Exception as error:  # reported with its video, so that it costs no other
            return segment.failure(error)


def _default_langs(card: BundleCard) -> tuple[str, ...]:
    return (DEFAULT_LANG,) if DEFAULT_LANG in card.languages else card.languages[:1]
