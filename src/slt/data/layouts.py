"""Manifest layouts in common use, and how they are recognised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slt.core.errors import UserError
from slt.data.lines import Mistake, shown

COLUMNS = ("id", "video", "start_s", "end_s", "text", "lang")
"""The columns every manifest of our own has; what others call them is in a layout's ``meanings``."""

_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)
_LOOKED_AT = 20  # lines, to tell layouts without a header


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the columns of a manifest are.

    Attributes:
        columns: their names, in order.
        n_header_lines: 1, or 0 where the names are only known.
        meanings: a column's name → which of ours it is, where it is called otherwise.
        numbers: columns that hold numbers.
        video: where a clip's video lies, relative to the manifest, with {id} and {five} (its first five letters) in
            it; empty where a column says so.
        features: the same for its features; empty when unknown.
    """

    columns: tuple[str, ...]
    n_header_lines: int
    meanings: Mapping[str, str] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    video: str = ""
    features: str = ""

    def meaning(self, column: str) -> str:
        """Return which column of ours ``column`` is; itself when it is one of its own."""
        return self.meanings.get(column, column)


def place(template: str, name: str) -> str | None:
    """Return where a layout puts the file of the clip ``name``, None where it does not say."""
    return template.format(id=name, five=name[:5]) or None


def recognise(path: Path, lines: Sequence[tuple[int, str]]) -> Layout:
    """Return the layout of a manifest.

    Args:
        path: the file; what lies beside it tells where videos and features are.
        lines: (number, text) of its lines that are not blank; of a file with a header, it is enough.

    Raises:
        UserError: an unknown layout, or a header that contradicts itself.
    """
    if has_header(lines):
        return _with_header(path, lines[0][0], _names(lines))
    rows = [line.split("\t") for _, line in lines[:_LOOKED_AT]]
    fitting = [row for row in rows if len(row) == 3 and _NUMBER.fullmatch(row[1])]
    if 2 * len(fitting) > len(rows):
        whole = all(row[1].isdecimal() for _, line in lines if len(row := line.split("\t")) == 3)
        return _with_features(path) if whole else _with_durations(path)
    raise UserError(
        f"{path} is no manifest of a known layout: its first line is {', '.join(map(shown, _names(lines)[:8]))}; "
        f"expected a header with a column named id, separated by tabs, such as: {' '.join(COLUMNS)}",
        fix="tell which column is which: slt prepare table --help; for a downloaded corpus: slt prepare --help",
    )


def has_header(lines: Sequence[tuple[int, str]]) -> bool:
    """Return whether the first of a manifest's lines names its columns."""
    return "id" in _names(lines)


def _names(lines: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    first = lines[0][1].split("\t") if lines else [""]
    return tuple(name.strip() for name in first)


def split_cells(
    number: int, line: str, columns: tuple[str, ...], mistakes: list[Mistake], *, separator: str = "\t"
) -> list[str] | None:
    """Return a line's cells, without blanks around them; or note that there are too many or too few."""
    cells = line.split(separator)
    if len(cells) != len(columns):
        why = ", perhaps a tab within a text" if separator == "\t" and len(cells) > len(columns) else ""
        mistakes.append(Mistake(line=number, found=f"{len(cells)} cells{why}", expected=f"{len(columns)}"))
        return None
    return [cell.strip() for cell in cells]


def _with_header(path: Path, line: int, names: tuple[str, ...]) -> Layout:
    """Ours, and ``id video_path n_frames translation``."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        found = f"the column {shown(twice[0])} twice" if twice and twice[0] else "a column without a name"
        raise UserError(f"{path}: line {line}: {found}", fix="give every column a name of its own")
    for name in names:
        wanted = next((own for own in COLUMNS if name != own and own in (name.lower(), f"{name.lower()}_s")), None)
        if wanted and wanted not in names:
            raise UserError(f"{path}: line {line}: there is a column {name!r} and no {wanted!r}", fix="rename it")
    aliases = {"video_path": "video", "translation": "text"}
    return Layout(
        columns=names,
        n_header_lines=1,
        meanings={name: own for name, own in aliases.items() if name in names and own not in names},
        numbers=("n_frames",) if "n_frames" in names else (),
    )


def _with_durations(path: Path) -> Layout:
    """``video_name duration caption``, videos at ``videos/<name[:5]>/<name>.mp4``: ssvp_slt's, and DailyMoth-70h's."""
    return Layout(
        columns=("video_name", "duration", "caption"),
        n_header_lines=0,
        meanings={"video_name": "id", "caption": "text"},
        numbers=("duration",),
        video=f"{_upwards(path, 'videos')}videos/{{five}}/{{id}}.mp4",
    )


def _with_features(path: Path) -> Layout:
    """``video_name length label``, features at ``features/<epoch>/<name[:5]>/<name>.pt``: ssvp_slt's.

    There is one set of features per epoch of augmentation; the first is taken.
    """
    up = _upwards(path, "features")
    folder = path.parent / up / "features"
    epochs = [entry.name for entry in folder.iterdir() if entry.name.isdecimal()] if folder.is_dir() else []
    return Layout(
        columns=("video_name", "length", "label"),
        n_header_lines=0,
        meanings={"video_name": "id", "label": "text"},
        numbers=("length",),
        features=f"{up}features/{min(epochs, key=int)}/{{five}}/{{id}}.pt" if epochs else "",
    )


def _upwards(path: Path, folder: str) -> str:
    """Return the way from a manifest's folder to the one that holds ``folder``: its own, or the one above."""
    beside, above = path.parent / folder, path.parent.parent / folder
    return "../" if path.parent.name == "manifests" or (above.is_dir() and not beside.is_dir()) else ""
