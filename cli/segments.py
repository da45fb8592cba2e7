"""Segments that ``slt translate`` translates (whole videos, sentences, spans), and their subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slt.pipeline.result import Failure, Translation
    from slt.pipeline.translator import Translator
    from slt.segmentation.finder import SentenceLimits
    from slt.subtitles.spans import TimeSpan
    from slt.subtitles.track import SubtitleTracks


@dataclass(frozen=True, kw_only=True)
class Segments:
    """What of each video is translated.

    Attributes:
        limits: what counts as a sentence, where sentences are to be found; else None.
        spans: the segments that were asked for; none: the whole video.
        what: the plural noun for them.
    """

    limits: SentenceLimits | None
    spans: Sequence[TimeSpan]
    what: str

    @classmethod
    def of(cls, segment: bool, spans: Sequence[str], limits: Mapping[str, float | None]) -> Segments:
        """Check the options.

        Args:
            segment: find the sentences.
            spans: spans, and files of spans.
            limits: field of ``SentenceLimits`` → value, None for its default.

        Raises:
            UserError: options that do not go together, or a span or a limit that cannot be.
        """
        from slt.core.errors import UserError
        from slt.segmentation.finder import SentenceLimits
        from slt.subtitles.spans import parse_spans

        given = {name: value for name, value in limits.items() if value is not None}
        if segment and spans:
            raise UserError("found --segment and --span, expected one of them", fix="remove one of them")
        if given and not segment:
            option = next(iter(given)).removesuffix("_s").replace("_", "-")
            raise UserError(f"--{option} is about the sentences that --segment finds", fix="add --segment")
        if segment:
            return cls(limits=SentenceLimits(**given), spans=(), what="sentences")
        return cls(limits=None, spans=parse_spans(spans), what="spans" if spans else "videos")

    @property
    def whole(self) -> bool:
        """Videos are translated as they are."""
        return self.what == "videos"

    def outcomes(
        self,
        loaded: Iterator[Translator],
        videos: Sequence[Path],
        langs: Sequence[str] | None,
        settings: Mapping[str, Any],
    ) -> Iterator[Iterator[Translation | Failure]]:
        """Yield each video's outcomes, each as soon as it is there; what fails costs only itself.

        The model is loaded for the first of them. Those of a video are to be read before the next video's.
        """
        if self.limits is not None:
            for video in videos:
                yield self._sentences(next(loaded), video, langs, settings)
        elif videos:
            found = next(loaded).translate_many(videos, langs, spans=self.spans, **settings)
            for _ in videos:
                yield islice(found, len(self.spans) or 1)

    def _sentences(
        self, translator: Translator, video: Path, langs: Sequence[str] | None, settings: Mapping[str, Any]
    ) -> Iterator[Translation | Failure]:
        from slt.core.errors import as_slt_error
        from slt.pipeline.result import Failure

        try:
            yield from translator.segments(video, langs, limits=self.limits, **settings)
        except Exception as error:  # as in translate_many: one video's bug must not cost the others
            yield Failure(video=str(video), error=as_slt_error(error))


class Subtitles:
    """The subtitle files that were asked for.

    Args:
        targets: format (".srt" or ".vtt") → where to, None where that was not asked for.
        several: there are several videos.
    """

    def __init__(self, targets: Mapping[str, Path | None], *, several: bool) -> None:
        self._targets = {suffix: target for suffix, target in targets.items() if target is not None}
        self._several = several
        self._open: dict[str, SubtitleTracks] = {}

    def check(self, check_folder: Callable[[Path], None]) -> bool:
        """Find out whether files can be written there; return whether any are to be."""
        for target in self._targets.values():
            check_folder(target if self._several or target.is_dir() else target.absolute().parent)
        return bool(self._targets)

    def add(self, outcome: Translation) -> None:
        """Write one more text into the files of the video under way."""
        texts = {lang: hypotheses[0].text for lang, hypotheses in outcome.texts.items()}
        self._start(Path(outcome.video), list(texts))
        for tracks in self._open.values():
            tracks.add(outcome.start_s, outcome.end_s, texts)

    def finish(self, video: Path, langs: Sequence[str] | None, *, failed: bool) -> None:
        """End the files of a video: read to its end, it has some even if nobody signs in it; else they stay so far."""
        if not failed:
            self._start(video, langs or ("",))
            for tracks in self._open.values():
                tracks.finish()
        self._open.clear()

    def _start(self, video: Path, langs: Sequence[str]) -> None:
        from slt.subtitles.track import SubtitleTracks, track_paths

        if self._open:
            return
        for suffix, target in self._targets.items():
            paths = track_paths(target, video, langs, suffix, several=self._several)
            self._open[suffix] = SubtitleTracks(paths, suffix)
