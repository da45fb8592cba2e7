"""Subtitle files that grow during translation and are complete at every moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slt.data.cues import Cue
from slt.subtitles.cues import lay_out, write_cues


class SubtitleTracks:
    """One video's subtitles, a file per language.

    Every sentence writes the files anew, beside and then renamed: a reader, or a kill, finds a valid file with all
    sentences so far.

    Args:
        paths: language → file.
        suffix: ".srt" or ".vtt", the format.
    """

    def __init__(self, paths: Mapping[str, Path], suffix: str) -> None:
        self._paths = paths
        self._suffix = suffix
        self._cues: dict[str, list[Cue]] = {lang: [] for lang in paths}
        self._written = False

    def add(self, start_s: float, end_s: float, texts: Mapping[str, str]) -> None:
        """Add one sentence, language → text.

        Raises:
            UserError: nothing can be written there.
            SltError: the disk is full, or failed.
        """
        for lang, path in self._paths.items():
            self._cues[lang] += lay_out(start_s, end_s, texts[lang])
            write_cues(path, self._cues[lang], suffix=self._suffix)
        self._written = True

    def finish(self) -> None:
        """Write files without a cue where there was no sentence."""
        if not self._written:
            for path in self._paths.values():
                write_cues(path, [], suffix=self._suffix)


def track_paths(target: Path, video: Path, langs: Sequence[str], suffix: str, *, several: bool) -> dict[str, Path]:
    """Return where a video's subtitles go, language → file.

    Args:
        target: a file for one video, a folder for several; a folder that exists is one for a single video, too.
        video: the video; its name without ending is that of its files in a folder.
        langs: one: the file is ``talk.srt``. Several: ``talk.eng_Latn.srt``, ``talk.deu_Latn.srt``.
        suffix: ".srt" or ".vtt".
        several: there are several videos.
    """
    if several or target.is_dir():
        stem = video.absolute().name if video.is_dir() else video.absolute().stem
        path = target / f"{stem}{suffix}"
    else:
        path = target
    if len(langs) == 1:
        return {langs[0]: path}
    ending = path.suffix or suffix
    return {lang: path.with_name(f"{path.name.removesuffix(path.suffix)}.{lang}{ending}") for lang in langs}
