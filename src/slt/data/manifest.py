"""Manifests: clips, their videos and their texts.

A manifest is a table in a text file: UTF-8, a header, cells separated by tabs, no quoting, one clip per line. The
columns ``id video start_s end_s text lang`` have a meaning, ``text_<code>`` too (the sentence in another language);
any others are kept as they stand. Other layouts in common use are read as they are: `slt.data.layouts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import isfinite
from operator import itemgetter
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.memory import without_collection
from slt.data.layouts import COLUMNS, Layout, has_header, place, recognise, split_cells
from slt.data.lines import Mistake, read_lines, refusal, shown

LANG = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
LONGEST_ID = 200  # bytes: ids name files, and no file system here takes more than 255
_PLAIN_ID = re.compile(r"(?!\.{1,2}$)[\w.-]{1,50}")  # what most ids are, and complaint_about_id has nothing against
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_FEATURES = (".npy", ".pt")
_KEPT_AT_MOST = 100_000
_SECONDS = "seconds from the video's beginning, such as 12.48, or nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One signed sentence.

    Attributes:
        id: its name, unlike any other's; fit to name a file.
        video: where its video lies, relative to the manifest's folder or absolute; None: not known.
        start_s: its first moment in the video, in seconds; None: the video's beginning.
        end_s: where it ends, that moment itself excluded; None: the video's end.
        text: what is signed.
        lang: the FLORES-200 code of ``text``; None: not known.
        extra: the manifest's other columns where they are not empty: split, signer, pose, features, n_frames…
    """

    id: str
    video: str | None
    start_s: float | None = None
    end_s: float | None = None
    text: str | None = None
    lang: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def duration_s(self) -> float | None:
        """How long it is by its times or, of a whole video, by the column ``duration``; None: unknown."""
        if self.end_s is not None:
            return self.end_s - (self.start_s or 0.0)
        said = self.extra.get("duration", "") if self.start_s is None else ""
        return float(said) if _is_number(said) else None

    def texts(self) -> dict[str, str]:
        """Return language → sentence; a text whose language is unknown is not among them."""
        own = {self.lang: self.text} if self.lang and self.text else {}
        return own | {code: text for name, text in self.extra.items() if (code := text_lang(name))}


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
    layout, lines = _layout(path, read_lines(path, mistakes))
    reader = _Rows(layout, lang, mistakes)
    seen: dict[str, int] = {}
    clips: list[Clip] = []
    with without_collection():
        for number, line in lines:
            clip = reader.read(number, line)
            if clip is None:
                continue
            first = seen.setdefault(clip.id, number)
            if first != number:
                expected = f"another id than on line {first}"
                mistakes.append(Mistake(line=number, column="id", found=shown(clip.id), expected=expected))
            else:
                clips.append(clip)
    return Manifest(path=path, clips=tuple(clips), columns=layout.columns), mistakes


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
    reader = _Rows(Layout(columns=(*COLUMNS, *extras), n_header_lines=1), None, mistakes)
    seen: dict[str, int] = {}
    for number, clip in enumerate(clips, 2):
        cells = _cells(clip, extras)
        for name, cell in cells.items():
            if re.search(r"[\t\r\n\0\ud800-\udfff]", cell):
                mistakes.append(Mistake(line=number, column=name, found=shown(cell), expected="one line without tabs"))
        reader.clip(number, [*cells.values()])
        if seen.setdefault(clip.id, number) != number:
            expected = f"another id than on line {seen[clip.id]}"
            mistakes.append(Mistake(line=number, column="id", found=shown(clip.id), expected=expected))
        lines.append("\t".join(cells.values()))
    if mistakes:
        raise refusal(path, mistakes)
    with atomic_write(path) as handle:
        handle.write(("\n".join(lines) + "\n").encode())


def text_lang(column: str) -> str | None:
    """Return the language of a ``text_<code>`` column, None for any other."""
    code = column.removeprefix("text_")
    return code if code != column and LANG.fullmatch(code) else None


def complaint_about_id(name: str) -> str | None:
    """Describe what is expected of an id where ``name`` is not fit to be one: ids name files in many folders."""
    if not name or name != name.strip():
        return "a name, without blanks around it"
    if name in (".", "..") or set(name) & {"/", "\\"}:
        return "a name without path separators"
    if not name.isprintable():
        return "a name of characters that can be seen"
    if len(name.encode()) > LONGEST_ID:
        return f"a name of at most {LONGEST_ID} bytes"
    return None


class _Rows:
    """Makes clips of the rows of one file, and notes what is wrong with them.

    Cells that come again (videos, languages, signers) are kept once, as are equal sets of further columns: that halves
    the memory of a large corpus.
    """

    def __init__(self, layout: Layout, lang: str | None, mistakes: list[Mistake]) -> None:
        self._layout, self._assumed, self._mistakes = layout, lang, mistakes
        self._names = {layout.meaning(name): name for name in layout.columns}
        place = {layout.meaning(name): number for number, name in enumerate(layout.columns)}
        # A column that is not there is the empty cell that is put behind the last.
        self._six = itemgetter(*(place.get(name, -1) for name in COLUMNS))
        self._extras = [(name, place[name]) for name in place if name not in COLUMNS]
        self._numbers = [(name, place[name]) for name in layout.numbers if name in place]
        self._once: dict[str, str] = {}
        self._extras_once: dict[tuple[str, ...], dict[str, str]] = {}

    def read(self, line: int, text: str) -> Clip | None:
        """Return the clip of one line; or note at least one mistake."""
        cells = split_cells(line, text, self._layout.columns, self._mistakes)
        return None if cells is None else self.clip(line, cells)

    def clip(self, line: int, cells: Sequence[str]) -> Clip | None:
        """Return the clip of one row's cells; or note at least one mistake."""
        cells = [*cells, ""]
        clip_id, video, start_s, end_s, text, lang = self._six(cells)
        wrong = _complaints(clip_id, start_s, end_s, lang)
        wrong += [
            (name, "a number, or nothing") for name, at in self._numbers if cells[at] and not _is_number(cells[at])
        ]
        if wrong:
            self._note(line, cells, wrong)
            return None
        return Clip(
            id=clip_id,
            video=self._kept(video) if video else place(self._layout.video, clip_id),
            start_s=float(start_s) if start_s else None,
            end_s=float(end_s) if end_s else None,
            text=text or None,
            lang=self._kept(lang) if lang else (self._assumed if text else None),
            extra=self._extra(cells, clip_id),
        )

    def _note(self, line: int, cells: Sequence[str], wrong: Sequence[tuple[str, str]]) -> None:
        for meaning, expected in wrong:
            column = self._names.get(meaning, meaning)
            found = shown(cells[self._layout.columns.index(column)])
            self._mistakes.append(Mistake(line=line, column=column, found=found, expected=expected))

    def _extra(self, cells: Sequence[str], clip_id: str) -> dict[str, str]:
        values = tuple([cells[at] for _, at in self._extras])
        if (known := self._extras_once.get(values)) is not None and not self._layout.features:
            return known
        extra = {name: self._kept(value) for (name, _), value in zip(self._extras, values, strict=True) if value}
        if features := place(self._layout.features, clip_id):
            extra["features"] = features
        elif len(self._extras_once) < _KEPT_AT_MOST:
            self._extras_once[values] = extra
        return extra

    def _kept(self, value: str) -> str:
        """Return the first string equal to ``value``, as long as there are not too many."""
        if len(self._once) < _KEPT_AT_MOST:
            return self._once.setdefault(value, value)
        return self._once.get(value, value)


def _complaints(clip_id: str, start_s: str, end_s: str, lang: str) -> list[tuple[str, str]]:
    """Return (column, what is expected there) for everything that is wrong with a row."""
    found = []
    if not _PLAIN_ID.fullmatch(clip_id) and (expected := complaint_about_id(clip_id)):
        found.append(("id", expected))
    odd_start = bool(start_s) and not _is_number(start_s)
    if odd_start:
        found.append(("start_s", _SECONDS))
    if end_s and not _is_number(end_s):
        found.append(("end_s", _SECONDS))
    elif end_s and not odd_start and float(end_s) <= float(start_s or 0):
        found.append(("end_s", f"more than start_s, {start_s or 0}"))
    if lang and not LANG.fullmatch(lang):
        found.append(("lang", "a FLORES-200 code such as eng_Latn, or nothing"))
    return found


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None and isfinite(float(cell))


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
