"""Translate the clips of a manifest for evaluation, each exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slt.assets.cards import CARD_NAME, sha256_of
from slt.assets.store import find_bundle
from slt.bundle.load import LoadedBundle, load_bundle
from slt.core.errors import SltError, as_slt_error
from slt.core.signals import StopRequests
from slt.data.manifest import Clip, Manifest
from slt.evaluate.progress_log import ProgressLog, packed
from slt.frontend.base import ClipSource, Frontend, Settings, at_rate
from slt.frontend.registry import make_frontend
from slt.frontend.run import Opener
from slt.pipeline.segment import Segment, translate_segment
from slt.text.languages import check_languages
from slt.video.base import Frame, Video, VideoInfo

if TYPE_CHECKING:
    from slt.pipeline.result import Translation

BLANK = 0
"""The grey level of a blank video."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """A model and its decoding settings.

    Attributes:
        model: a bundle's name or folder.
        lang: FLORES-200 code of the texts.
        beam: hypotheses record alive in the search.
        device: as for ``slt.bundle.load.load_bundle``.
        dtype: the same.
    """

    model: str
    lang: str
    beam: int = 5
    device: str = "auto"
    dtype: str = "float32"

    def fingerprint(self) -> dict[str, Any]:
        """Return what the answers depend on; the model's card holds the hashes of its files.

        Raises:
            UserError: no such model, or it does not write the language.
        """
        bundle = find_bundle(self.model)
        check_languages([self.lang], bundle.card.languages)
        return {
            "model": bundle.card.name,
            "card_sha256": sha256_of(bundle.folder / CARD_NAME),
            "lang": self.lang,
            "beam": self.beam,
            "dtype": self.dtype,
        }


@dataclass(frozen=True, kw_only=True)
class ClipTranslation:
    """What a model made of a clip.

    Attributes:
        text: empty where it failed.
        error: why it did.
        record: what the log has of it, empty where it failed: text, confidence, seconds, duration_s, n_frames, fps,
            embedding; of stored features only text, confidence and embedding.
    """

    text: str
    error: SltError | None
    record: dict[str, Any]


class ClipTranslator:
    """A model that answers from a log where it can; it is loaded when it first cannot.

    Args:
        settings: which, and how.
        log: its earlier answers.
    """

    def __init__(self, settings: ModelSettings, log: ProgressLog) -> None:
        self.settings = settings
        self._log = log
        self._bundle: LoadedBundle | None = None
        self._frontend: Frontend | None = None

    @property
    def frontend(self) -> Frontend:
        """The model's extractor."""
        if self._frontend is None:
            settings = self.settings
            self._frontend = make_frontend(
                None, Settings(model=settings.model, device=settings.device, dtype=settings.dtype)
            )
        return self._frontend

    @property
    def bundle(self) -> LoadedBundle:
        """The models."""
        if self._bundle is None:
            settings = self.settings
            self._bundle = load_bundle(
                settings.model, device=settings.device, dtype=settings.dtype, text_encoder=self.embeds_text
            )
        return self._bundle

    def read(self, manifest: Manifest, clip: Clip) -> ClipTranslation:
        """Translate a clip; one that is broken gives an answer that says why, and is tried again next time."""
        path, pose = manifest.video_path(clip), manifest.pose_path(clip)
        question = json.dumps([clip.id, str(path), clip.start_s, clip.end_s, *([str(pose)] if pose else [])])

        source = ClipSource(id=clip.id, path=path, start_s=clip.start_s, end_s=clip.end_s, pose=pose)
        return self._answer(question, lambda: self._from_video(partial(self.frontend.open, source), clip.id))

    def read_blank(self, n_frames: int, fps: float) -> ClipTranslation:
        """Translate a video of as many frames in which nothing is to be seen."""
        opener = partial(at_rate, BlankVideo(n_frames, fps), self.frontend.preprocess)
        return self._answer(json.dumps(["blank", n_frames, fps]), lambda: self._from_video(opener, "blank"))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the (N, D) embeddings of texts in the language."""
        decoder: Any = self.bundle.decoder
        return decoder.embed(texts, self.settings.lang).float().cpu().numpy()

    @property
    def embeds_text(self) -> bool:
        """Whether ``embed`` can be called: the bundle has a text encoder."""
        return find_bundle(self.settings.model).card.decoder.text_encoder is not None

    def _answer(self, question: str, make: Callable[[], dict[str, Any]]) -> ClipTranslation:
        """Return what the log has for a question, or make it."""
        if question not in self._log:
            try:
                made = make()
            except Exception as error:  # reported with its clip, so that it costs no other
                return ClipTranslation(text="", error=as_slt_error(error), record={})
            self._log.add(question, made)
        record = self._log[question]
        return ClipTranslation(text=record["text"], error=None, record=record)

    def _from_video(self, opener: Opener, name: str) -> dict[str, Any]:
        segment = Segment(video=name, open=opener)
        found = translate_segment(
            self.bundle, self.frontend, segment, [self.settings.lang], beam_size=self.settings.beam
        )
        return _record(found, self.settings.lang)


class BlankVideo(Video):
    """A video in which nothing is to be seen.

    Args:
        n_frames: its frames.
        fps: its frames per second.
    """

    SIZE = 224

    def __init__(self, n_frames: int, fps: float) -> None:
        path = Path(f"blank-{n_frames}")
        super().__init__(VideoInfo(path=path, fps=fps, n_frames=n_frames, height=self.SIZE, width=self.SIZE))
        self._n_frames = n_frames

    def timed_frames(self) -> Generator[tuple[float, Frame], None, None]:
        """See ``Video``."""
        for number in range(self._n_frames):
            yield number / self.info.fps, np.full((self.SIZE, self.SIZE, 3), BLANK, np.uint8)


def translate_clips(
    reader: ClipTranslator,
    manifest: Manifest,
    clips: Sequence[Clip],
    stop: StopRequests,
    progress: Callable[[str, int, int | None], None],
) -> list[ClipTranslation]:
    """Translate clips; every answer is record before the next one is begun.

    Raises:
        Stopped: a stop was requested.
        SltError: the log cannot be written.
    """
    answers = []
    for clip in clips:
        answers.append(reader.read(manifest, clip))
        progress("clips", len(answers), len(clips))
        stop.check()
    return answers


def translate_blanks(
    reader: ClipTranslator,
    answers: Sequence[ClipTranslation],
    stop: StopRequests,
    progress: Callable[[str, int, int | None], None],
) -> list[str]:
    """Translate, for each clip that did not fail, a blank video as long as it; equal lengths once.

    Raises:
        Stopped: a stop was requested.
        SltError: a blank video cannot be translated.
    """
    texts: list[str] = []
    for answer in answers:
        if answer.error is None:
            blank = reader.read_blank(answer.record["n_frames"], answer.record["fps"])
            if blank.error is not None:
                raise blank.error
            texts.append(blank.text)
        else:
            texts.append("")
        progress("blank videos", len(texts), len(answers))
        stop.check()
    return texts


def _record(translation: Translation, lang: str) -> dict[str, Any]:
    best = translation.texts[lang][0]
    return {
        "text": best.text,
        "confidence": best.score,
        "seconds": sum(translation.timings.values()),
        "duration_s": translation.duration_s,
        "n_frames": translation.n_frames,
        "fps": translation.fps,
        "embedding": packed(translation.embedding.numpy()),
    }
