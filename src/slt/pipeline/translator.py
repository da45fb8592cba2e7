"""Translate videos: whole, in part, or sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from slt.assets.cards import BundleCard
from slt.bundle.load import LoadedBundle, load_bundle
from slt.bundle.resolve import make_available
from slt.core.errors import as_slt_error
from slt.core.timing import StageTimer
from slt.frontend.base import ClipSource, Frontend, OpenClip, Settings, at_rate
from slt.frontend.registry import make_frontend
from slt.frontend.run import Progress
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import Segment, translate_segment
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
        self._frontend: Frontend | None = None
        self._has_text_encoder = False

    def load(self, *, text_encoder: bool = False, progress: Progress | None = None) -> LoadedBundle:
        """Load the model, unless it is already; a published one is fetched and imported first, unless it is here.

        Args:
            text_encoder: also load what turns text into embeddings, which reranking needs.
            progress: called with what is fetched and imported.

        Raises:
            UserError: no such model, device or dtype, files that are not what the model's card says, or a detector that
                it has no use for.
            SltError: what is to be fetched cannot be.
        """
        if self._bundle is None or (text_encoder and not self._has_text_encoder):
            make_available(self.model, text_encoder=text_encoder, progress=progress)
            self._bundle = load_bundle(
                self.model,
                device=self.device,
                dtype=self.dtype,
                text_dtype=self.text_dtype,
                text_encoder=text_encoder,
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
        """Translate one video file or folder of frames, or a segment of it as if it were a video of its own.

        Args:
            video: its path; for a model that reads keypoints alone, a ``.pose`` file will do.
            langs: FLORES-200 codes; None is English, or the first language of a model without it.
            start_s: frames from then on, in seconds since the video's first frame; None is the beginning.
            end_s: frames before then, likewise; None is the end.
            pose: a ``.pose`` file of the whole video, for a model that reads keypoints; None: the one beside the video,
                of the same name; where there is none, joints are looked for.
            beam_size: hypotheses kept alive in the decoder's search.
            nbest: texts per language, at most ``beam_size``.
            rerank: read the video several times, and weigh the texts of all readings; needs a text encoder.
            progress: called with the windows or frames that went through the extractor.

        Raises:
            UserError: not a readable video, a language the model does not write, or a size out of range.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        clip = ClipSource.of(Path(video), start_s=start_s, end_s=end_s, pose=Path(pose) if pose else None)
        opener = partial(self.frontend.open, clip)
        segment = Segment(video=str(video), open=opener, start_s=start_s or 0.0, end_s=end_s)
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
            progress: called after each sentence with how many seconds of the video are done.

        Raises:
            UserError: as for ``translate``; when the video cannot be read to its end, after what could be read.
            SltError: the machine failed.
        """
        bundle = self.load(text_encoder=rerank)
        langs = check_languages(langs or _default_langs(bundle.card), bundle.card.languages)
        settings: dict[str, Any] = {"beam_size": beam_size, "nbest": nbest, "rerank": rerank}
        clock = StageTimer()
        with clock("signer"):
            whole = at_rate(open_with_pose(Path(video)), self.frontend.preprocess)
        fps, n_frames = whole.video.info.fps, whole.video.info.n_frames
        crops = prefetch(timed_crops(whole.video, whole.signer, bundle.card.preprocess.size), FRAMES_AHEAD)
        with closing(crops):
            for sentence in clock.each("frames", find_sentences(crops, fps=fps, limits=limits)):
                opener = partial(self._open_sentence, Path(video), sentence, whole)
                segment = Segment(video=str(video), open=opener, start_s=sentence.start_s, end_s=sentence.end_s)
                yield translate_segment(bundle, self.frontend, segment, langs, clock=clock, **settings)
                clock.seconds = {}
                if progress:
                    progress("seconds of video", int(sentence.end_s), int(n_frames / fps) if n_frames else None)

    def _open_sentence(self, video: Path, sentence: Sentence, whole: OpenClip) -> OpenClip:
        """Open one sentence: the crops that were kept, or the frames again for an extractor that needs others."""
        if self.frontend.uses_crops:
            return OpenClip(whole.video, whole.signer, sentence.crops)
        clip = ClipSource.of(video, start_s=sentence.start_s, end_s=sentence.end_s)
        return self.frontend.open(clip, signer=whole.signer)

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
            except Exception as error:  # reported with its video, so that it costs no other
                yield Failure(video=str(video), error=as_slt_error(error))


def _default_langs(card: BundleCard) -> tuple[str, ...]:
    return (DEFAULT_LANG,) if DEFAULT_LANG in card.languages else card.languages[:1]
