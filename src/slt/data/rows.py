"""From a manifest's rows to clips, with every mistake in them noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter

from slt.data.clip import LANG, Clip, complaint_about_id, is_number
from slt.data.layouts import COLUMNS, Layout, place, split_cells
from slt.data.lines import Mistake, shown

UNFIT = re.compile(r"[\t\r\n\0\ud800-\udfff]")
"""What no cell of a manifest can hold."""
ONE_LINE = "one line without tabs"
_PLAIN_ID = re.compile(r"(?!\.{1,2}$)[\w.-]{1,50}")  # what most ids are, and complaint_about_id has nothing against
_KEPT_AT_MOST = 100_000
_SECONDS = "seconds from the video's beginning, such as 12.48, or nothing"


class RowReader:
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

    def plain(self, line: int, cells: Sequence[str]) -> Clip | None:
        """Return the clip of a row whose cells may hold anything, as those of a parquet file; or note a mistake."""
        for name, cell in zip(self._layout.columns, cells, strict=True):
            if UNFIT.search(cell):
                self._mistakes.append(Mistake(line=line, column=name, found=shown(cell), expected=ONE_LINE))
                return None
        return self.clip(line, [cell.strip() for cell in cells])

    def clip(self, line: int, cells: Sequence[str]) -> Clip | None:
        """Return the clip of one row's cells; or note at least one mistake."""
        cells = [*cells, ""]
        clip_id, video, start_s, end_s, text, lang = self._six(cells)
        wrong = _complaints(clip_id, start_s, end_s, lang)
        wrong += [
            (name, "a number, or nothing") for name, at in self._numbers if cells[at] and not is_number(cells[at])
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
    odd_start = bool(start_s) and not is_number(start_s)
    if odd_start:
        found.append(("start_s", _SECONDS))
    if end_s and not is_number(end_s):
        found.append(("end_s", _SECONDS))
    elif end_s and not odd_start and float(end_s) <= float(start_s or 0):
        found.append(("end_s", f"more than start_s, {start_s or 0}"))
    if lang and not LANG.fullmatch(lang):
        found.append(("lang", "a FLORES-200 code such as eng_Latn, or nothing"))
    return found
