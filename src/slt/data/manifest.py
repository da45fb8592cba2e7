"""Manifests: clips, their videos and their texts.

A manifest is a table in a text file: UTF-8, a header, cells separated by tabs, no quoting, one clip per line. The
columns ``id video start_s end_s text lang`` have a meaning, ``text_<code>`` too (the sentence in another language);
any others are kept as they stand. Other layouts in common use are read as they are: `slt.data.layouts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.layouts import COLUMNS, Layout, place, recognise, split_cells
from slt.data.lines import Mistake, read_lines, refusal, shown

LANG = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
LONGEST_ID = 200  # bytes: ids name files, and no file system here takes more than 255
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_FEATURES = (".npy", ".pt")


@dataclass(frozen=True, kw_only=True)
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
    lines = list(read_lines(path, mistakes))
    layout = recognise(path, lines)
    seen: dict[str, int] = {}
    clips: list[Clip] = []
    for number, line in lines[layout.n_header_lines :]:
        row = split_cells(number, line, layout.columns, mistakes)
        clip = None if row is None else _clip(number, row, layout, lang, mistakes)
        if clip is None:
            continue
        first = seen.setdefault(clip.id, number)
        if first != number:
            expected = f"another id than on line {first}"
            mistakes.append(Mistake(line=number, column="id", found=shown(clip.id), expected=expected))
        else:
            clips.append(clip)
    return Manifest(path=path, clips=tuple(clips), columns=layout.columns), mistakes


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
    seen: dict[str, int] = {}
    for number, clip in enumerate(clips, 2):
        cells = _cells(clip, extras)
        for name, cell in cells.items():
            if re.search(r"[\t\r\n\0\ud800-\udfff]", cell):
                mistakes.append(Mistake(line=number, column=name, found=shown(cell), expected="one line without tabs"))
        _clip(number, cells, _OWN, None, mistakes)
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


_OWN = Layout(columns=COLUMNS, n_header_lines=1)


def _clip(line: int, row: Mapping[str, str], layout: Layout, lang: str | None, mistakes: list[Mistake]) -> Clip | None:
    """Return the clip of one row; or note at least one mistake."""
    names = {layout.meaning(name): name for name in row}
    cells = {meaning: row[name] for meaning, name in names.items()}
    wrong = list(_complaints(cells, layout.numbers))
    for column, expected in wrong:
        name = names.get(column, column)
        mistakes.append(Mistake(line=line, column=name, found=shown(row[name]), expected=expected))
    if wrong:
        return None
    clip_id, text = cells["id"], cells.get("text") or None
    start_s, end_s = (float(cells[name]) if cells.get(name) else None for name in ("start_s", "end_s"))
    extra = {names[meaning]: value for meaning, value in cells.items() if meaning not in COLUMNS and value}
    features = place(layout.features, clip_id)
    return Clip(
        id=clip_id,
        video=cells.get("video") or place(layout.video, clip_id),
        start_s=start_s,
        end_s=end_s,
        text=text,
        lang=cells.get("lang") or (lang if text else None),
        extra=extra | ({"features": features} if features else {}),
    )


def _complaints(cells: Mapping[str, str], numbers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (column, what is expected there) for everything that is wrong with a row."""
    if expected := complaint_about_id(cells["id"]):
        yield "id", expected
    times = {name: cells[name] for name in ("start_s", "end_s") if cells.get(name)}
    odd = [name for name, value in times.items() if not _is_number(value)]
    for name in odd:
        yield name, "seconds from the video's beginning, such as 12.48, or nothing"
    start_s = times.get("start_s", "0")
    if "end_s" in times and not odd and float(times["end_s"]) <= float(start_s):
        yield "end_s", f"more than start_s, {start_s}"
    if cells.get("lang") and not LANG.fullmatch(cells["lang"]):
        yield "lang", "a FLORES-200 code such as eng_Latn, or nothing"
    for name in numbers:
        if cells[name] and not _is_number(cells[name]):
            yield name, "a number, or nothing"


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
