"""Manifests: clips, their videos and their texts.

A manifest is a table in a text file: UTF-8, a header, cells separated by tabs, no quoting, one clip per line. The
columns ``id video start_s end_s text lang`` have a meaning, ``text_<code>`` too (the sentence in another language);
any others are kept as they stand. Other layouts in common use are read as they are: `slt.data.layouts`; so are parquet
files with such columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.memory import without_collection
from slt.data.clip import Clip, complaint_about_id
from slt.data.layouts import COLUMNS, Layout, has_header, recognise
from slt.data.lines import Mistake, read_lines, refusal, shown
from slt.data.parquet import PARQUET, read_rows
from slt.data.rows import ONE_LINE, UNFIT, RowReader

__all__ = ["Clip", "Manifest", "complaint_about_id", "read_manifest", "scan_manifest", "write_manifest"]
_FEATURES = (".npy", ".pt")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The clips of one file.

    Attributes:
        path: the file; or the folder, where that is all there is.
        clips: in the file's order; no two of one id.
        columns: the file's columns.
    """

    path: Path
    clips: tuple[Clip, ...]
    columns: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """What the paths of videos and features are relative to."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def lang(self) -> str | None:
        """The language of all texts; None when they differ or it is unknown."""
        langs = {clip.lang for clip in self.clips if clip.text}
        return langs.pop() if len(langs) == 1 else None

    def video_path(self, clip: Clip) -> Path | None:
        """Return where the clip's video should lie, None when the manifest does not say."""
        return None if clip.video is None else self.folder / clip.video

    def pose_path(self, clip: Clip) -> Path | None:
        """Return where the ``.pose`` file with the joints of the clip's video should lie, None: not named."""
        return self.folder / clip.extra["pose"] if "pose" in clip.extra else None

    def clip_from(self, clip: Clip, folder: Path) -> Clip:
        """Return a clip whose relative paths are right in a manifest that lies in ``folder``."""
        here, there = self.folder.resolve(), folder.resolve()

        def moved(path: str) -> str:
            return path if os.path.isabs(path) or here == there else os.path.relpath(here / path, there)

        paths = {name: moved(clip.extra[name]) for name in ("features", "pose") if name in clip.extra}
        return replace(clip, video=moved(clip.video) if clip.video else None, extra={**clip.extra, **paths})


def read_manifest(path: Path, *, lang: str | None = None) -> Manifest:
    """Read a manifest of any known layout, or a folder of ``<id>.npy`` (or ``.pt``) features.

    Args:
        path: the file or folder.
        lang: the language of texts for which the file names none.

    Raises:
        UserError: no such file, an unknown layout, or mistakes in it: all of them, in one report.
    """
    manifest, mistakes = scan_manifest(path, lang=lang)
    if mistakes:
        raise refusal(path, mistakes, fix="mend these lines, or leave them out: slt check-manifest MANIFEST --fix OUT")
    return manifest


def scan_manifest(path: Path, *, lang: str | None = None) -> tuple[Manifest, list[Mistake]]:
    """Read what can be read of a manifest, and tell what is wrong with the rest.

    Raises:
        UserError: no such file, or an unknown layout.
    """
    path = Path(path)
    if path.is_dir():
        return _scan_folder(path)
    mistakes: list[Mistake] = []
    if path.suffix == PARQUET:
        columns, rows = read_rows(path)
        layout = recognise(path, [(0, "\t".join(columns))])
        reader = RowReader(layout, lang, mistakes)
        found = ((number, reader.plain(number, cells)) for number, cells in enumerate(rows, 1))
    else:
        layout, lines = _layout(path, read_lines(path, mistakes))
        reader = RowReader(layout, lang, mistakes)
        found = ((number, reader.read(number, line)) for number, line in lines)
    with without_collection():
        clips = tuple(_named_once(found, mistakes))
    return Manifest(path=path, clips=clips, columns=layout.columns), mistakes


def _named_once(found: Iterable[tuple[int, Clip | None]], mistakes: list[Mistake]) -> Iterator[Clip]:
    """Yield the clips, and note those whose id an earlier one has."""
    seen: dict[str, int] = {}
    for number, clip in found:
        if clip is None:
            continue
        if (first := seen.setdefault(clip.id, number)) != number:
            expected = f"another id than on line {first}"
            mistakes.append(Mistake(line=number, column="id", found=shown(clip.id), expected=expected))
        else:
            yield clip


def _layout(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[Layout, Iterator[tuple[int, str]]]:
    """Return a file's layout, and its lines after the header; a file with a header is not held in memory."""
    first = list(islice(lines, 1))
    if not has_header(first):
        first += lines
    layout = recognise(path, first)
    return layout, chain(first[layout.n_header_lines :], lines)


def write_manifest(path: Path, clips: Sequence[Clip]) -> None:
    """Write a manifest, whole or not at all; what ``read_manifest`` would refuse is not written.

    Args:
        path: where to.
        clips: columns of their own come after the six of every manifest, in the order in which they are first met.

    Raises:
        UserError: two clips of one id, a cell with a tab or a line's end in it; or the place cannot be written to.
    """
    extras = list(dict.fromkeys(name for clip in clips for name in clip.extra))
    lines = ["\t".join([*COLUMNS, *extras])]
    mistakes: list[Mistake] = []
    reader = RowReader(Layout(columns=(*COLUMNS, *extras), n_header_lines=1), None, mistakes)
    seen: dict[str, int] = {}
    for number, clip in enumerate(clips, 2):
        cells = _cells(clip, extras)
        for name, cell in cells.items():
            if UNFIT.search(cell):
                mistakes.append(Mistake(line=number, column=name, found=shown(cell), expected=ONE_LINE))
        reader.clip(number, [*cells.values()])
        if seen.setdefault(clip.id, number) != number:
            expected = f"another id than on line {seen[clip.id]}"
            mistakes.append(Mistake(line=number, column="id", found=shown(clip.id), expected=expected))
        lines.append("\t".join(cells.values()))
    if mistakes:
        raise refusal(path, mistakes)
    with atomic_write(path) as handle:
        handle.write(("\n".join(lines) + "\n").encode())


def _cells(clip: Clip, extras: Sequence[str]) -> dict[str, str]:
    """Return what ``write_manifest`` writes about a clip, by column."""
    start_s, end_s = ("" if value is None else repr(float(value)) for value in (clip.start_s, clip.end_s))
    own = (clip.id, clip.video or "", start_s, end_s, clip.text or "", clip.lang or "")
    return dict(zip(COLUMNS, own, strict=True)) | {name: clip.extra.get(name, "") for name in extras}


def _scan_folder(folder: Path) -> tuple[Manifest, list[Mistake]]:
    """Take each feature file of a folder for a clip of which nothing else is known."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _FEATURES and not file.name.startswith("."))
    if not files:
        raise UserError(
            f"the folder {folder} holds no .npy and no .pt file, expected features named by their clips' ids",
            fix="give the manifest itself, a .tsv file",
        )
    clips: dict[str, Clip] = {}
    mistakes = []
    for file in files:
        if file.stem in clips:
            other = clips[file.stem].extra["features"]
            mistakes.append(Mistake(line=0, found=f"{other} and {file.name}", expected="one file per clip"))
        clips[file.stem] = Clip(id=file.stem, video=None, extra={"features": file.name})
    return Manifest(path=folder, clips=tuple(clips.values()), columns=("id", "features")), mistakes
