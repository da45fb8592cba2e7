"""Translate the clips of a manifest for evaluation, each exactly once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.assets.cards import CARD_NAME, sha256_of
from slt.assets.hub_names import exact_name, parse_hub_name
from slt.assets.store import find_bundle
from slt.bundle.load import LoadedBundle, load_bundle
from slt.core.device import choose_device, is_accelerator
from slt.core.errors import SltError, as_slt_error
from slt.core.registry import SONAR
from slt.core.signals import StopRequests
from slt.data.manifest import Clip, Manifest
from slt.evaluate.progress_log import ProgressLog, packed
from slt.frontend.base import Frontend, Settings
from slt.frontend.clip import ClipSource
from slt.frontend.registry import make_frontend
from slt.frontend.result import Outcome
from slt.frontend.run import Opener, many_clip_features
from slt.pipeline.groups import in_groups
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import EncodedSegment, Segment, encode_segment, translate_encoded, translate_segment
from slt.pipeline.texts import CLIPS_ON_ACCELERATOR
from slt.text.engines import TRANSFORMERS, expected
from slt.text.languages import check_languages
from slt.video.base import Frame, Video, VideoInfo

BLANK = 0
"""Grey level of a blank video, 0..255."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """A model and its decoding settings.

    Attributes:
        model: a bundle's name or folder.
        lang: FLORES-200 code of the texts.
        beam: number of active hypotheses.
        device: as for ``slt.bundle.load.load_bundle``.
        dtype: likewise.
        text_engine: likewise.
    """

    model: str
    lang: str
    beam: int = 5
    device: str = "auto"
    dtype: str = "float32"
    text_engine: str | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that determines the translations; the model's card contains the hashes of its files.

        Raises:
            UserError: no such model, or an unsupported language.
        """
        bundle = find_bundle(self.model)
        check_languages([self.lang], bundle.card.languages)
        # Only the other engine is told, so that logs from before there were two can be continued.
        is_other = bundle.card.decoder.kind == SONAR and expected(self.text_engine) == TRANSFORMERS
        return {
            "model": bundle.card.name,
            **({"hub": exact_name(self.model)} if parse_hub_name(self.model) else {}),
            "card_sha256": sha256_of(bundle.folder / CARD_NAME),
            "lang": self.lang,
            "beam": self.beam,
            "dtype": self.dtype,
            **({"text_engine": TRANSFORMERS} if is_other else {}),
        }


@dataclass(frozen=True, kw_only=True)
class ClipTranslation:
    """Translation of one clip.

    Attributes:
        text: the best text; empty on failure.
        error: reason of the failure, or None.
        record: its log record, empty on failure: text, confidence, seconds, duration_s, n_frames, fps, embedding; from
            stored features only text, confidence and embedding.
    """

    text: str
    error: SltError | None
    record: dict[str, Any]


class ClipTranslator:
    """Translates clips, or returns their translation from the log; the model is loaded on first use.

    Args:
        settings: the model and its decoding settings.
        log: its earlier translations.
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
        """The loaded models."""
        if self._bundle is None:
            settings = self.settings
            self._bundle = load_bundle(
                settings.model,
                device=settings.device,
                dtype=settings.dtype,
                text_encoder=self.embeds_text,
                text_engine=settings.text_engine,
            )
        return self._bundle

    def translate_ahead(
        self, manifest: Manifest, clips: Sequence[Clip], stop: StopRequests, progress: Callable[[int], None]
    ) -> None:
        """On an accelerator, translate clips that are not in the log while the next ones are read, and log them.

        The texts of several are searched together (``slt.pipeline.texts``); when a stop is requested, those of the
        clips whose features are there still are. Clips that fail are left to ``translate``.

        On a CPU clips are translated one by one: SignHiera takes nearly three times as long as the search, so that
        little would be gained, and the seconds of each clip are a result.
        """
        if not is_accelerator(choose_device(self.settings.device)):
            return
        sources = [(source, key) for source, key in (self._source(manifest, one) for one in clips)]
        waiting = {source.id: key for source, key in sources if key not in self._log}
        if not waiting:
            return
        bundle, lang, beam = self.bundle, self.settings.lang, self.settings.beam
        done, began = 0, time.perf_counter()
        read = [source for source, _ in sources if source.id in waiting]
        with closing(many_clip_features(read, self.frontend.load(), stop=stop)) as outcomes:
            for group in in_groups(map(self._encoded, outcomes), CLIPS_ON_ACCELERATOR):
                encoded = [one for one in group if isinstance(one, EncodedSegment)]
                found = translate_encoded(bundle, encoded, [lang], beam_size=beam)
                seconds = (time.perf_counter() - began) / max(1, len(encoded))
                for one in found:
                    if isinstance(one, Translation):  # an error is told with its clip, when that is translated alone
                        self._log.add(waiting[one.video], {**_record(one, lang), "seconds": seconds})
                began = time.perf_counter()
                progress(done := done + len(group))
        stop.check()

    def _encoded(self, outcome: Outcome) -> EncodedSegment | Failure:
        segment = Segment(video=outcome.clip.id, open=partial(self.frontend.open, outcome.clip))
        try:
            if outcome.found:
                return encode_segment(self.bundle, outcome.found, segment)
        except Exception as error:  # told with its clip, when that is translated alone
            return segment.failure(error)
        return segment.failure(outcome.error or SltError("no features"))

    def translate(self, manifest: Manifest, clip: Clip) -> ClipTranslation:
        """Translate a clip; a failed clip has an error and is tried again by the next run."""
        source, key = self._source(manifest, clip)
        return self._cached(key, lambda: self._from_video(partial(self.frontend.open, source), clip.id))

    def _source(self, manifest: Manifest, clip: Clip) -> tuple[ClipSource, str]:
        """Return where a clip lies, and its key in the log."""
        path, pose = manifest.video_path(clip), manifest.pose_path(clip)
        key = json.dumps([clip.id, str(path), clip.start_s, clip.end_s, *([str(pose)] if pose else [])])
        return ClipSource(id=clip.id, path=path, start_s=clip.start_s, end_s=clip.end_s, pose=pose), key

    def translate_blank(self, n_frames: int, fps: float) -> ClipTranslation:
        """Translate a blank video of ``n_frames`` frames."""
        opener = partial(self.frontend.at_rate, BlankVideo(n_frames, fps))
        return self._cached(json.dumps(["blank", n_frames, fps]), lambda: self._from_video(opener, "blank"))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the (N, D) float32 embeddings of N texts in the language."""
        decoder: Any = self.bundle.decoder
        return decoder.embed(texts, self.settings.lang).float().cpu().numpy()

    @property
    def embeds_text(self) -> bool:
        """Whether the bundle has a text encoder, which ``embed`` requires."""
        return find_bundle(self.settings.model).card.decoder.text_encoder is not None

    def _cached(self, key: str, make: Callable[[], dict[str, Any]]) -> ClipTranslation:
        """Return the translation in the log, or compute and log it."""
        if key not in self._log:
            try:
                made = make()
            except Exception as error:  # reported with its clip, so that it costs no other
                return ClipTranslation(text="", error=as_slt_error(error), record={})
            self._log.add(key, made)
        record = self._log[key]
        return ClipTranslation(text=record["text"], error=None, record=record)

    def _from_video(self, opener: Opener, name: str) -> dict[str, Any]:
        segment = Segment(video=name, open=opener)
        found = translate_segment(
            self.bundle, self.frontend, segment, [self.settings.lang], beam_size=self.settings.beam
        )
        return _record(found, self.settings.lang)


class BlankVideo(Video):
    """A video of uniform frames.

    Args:
        n_frames: number of frames.
        fps: frames per second.
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
    translator: ClipTranslator,
    manifest: Manifest,
    clips: Sequence[Clip],
    stop: StopRequests,
    progress: Callable[[str, int, int | None], None],
) -> list[ClipTranslation]:
    """Translate clips; each translation is logged before the next clip starts.

    Raises:
        Stopped: a stop was requested.
        SltError: the log cannot be written.
    """
    translator.translate_ahead(manifest, clips, stop, lambda done: progress("clips, several at once", done, len(clips)))
    translations = []
    for clip in clips:
        translations.append(translator.translate(manifest, clip))
        progress("clips", len(translations), len(clips))
        stop.check()
    return translations


def translate_blanks(
    translator: ClipTranslator,
    translations: Sequence[ClipTranslation],
    stop: StopRequests,
    progress: Callable[[str, int, int | None], None],
) -> list[str]:
    """Translate a blank video as long as each successful clip; equal lengths are translated once.

    Raises:
        Stopped: a stop was requested.
        SltError: a blank video cannot be translated.
    """
    texts: list[str] = []
    for translation in translations:
        if translation.error is None:
            blank = translator.translate_blank(translation.record["n_frames"], translation.record["fps"])
            if blank.error is not None:
                raise blank.error
            texts.append(blank.text)
        else:
            texts.append("")
        progress("blank videos", len(texts), len(translations))
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
