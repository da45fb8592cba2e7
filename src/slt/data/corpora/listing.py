"""Read a corpus's own list of sentences; every row becomes a clip or an error."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from slt.core.errors import SltError, UserError
from slt.core.registry import did_you_mean
from slt.data.corpora.registry import OWN_TABLE, SPLITS, Corpus
from slt.data.cues import SUFFIXES as SUBTITLE_SUFFIXES
from slt.data.cues import clock_seconds, read_sentences
from slt.data.json_lines import JSON_LINES, read_object
from slt.data.lines import Mistake, read_lines, shown
from slt.data.manifest import Clip, complaint_about_id
from slt.data.rolling import read_rolling

TIMES = ("start", "end", "duration")
_OWN = ("id", "video", "start", "end", "text", "split")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a corpus says of itself.

    Attributes:
        clips: as they stand there: ``video`` is a name still, and ``extra["split"]`` says which part they belong to.
        rows: how many sentences there were, read or not.
        failures: (row, why it is no clip).
        quirks: what was met on the way, and how often.
        warnings: warnings about the list as a whole.
    """

    clips: tuple[Clip, ...]
    rows: int
    failures: tuple[tuple[str, SltError], ...]
    quirks: Mapping[str, int]
    warnings: tuple[str, ...]


def split_of(path: Path) -> str | None:
    """Return which part of a corpus a list is of, by its name; None when that does not say."""
    words = re.findall(r"[a-z]+", path.stem.lower())
    return next((SPLITS[word] for word in reversed(words) if word in SPLITS), None)


def read_listing(corpus: Corpus, path: Path, *, split: str | None = None) -> Listing:
    """Read one list of a corpus.

    Args:
        corpus: how it is written down.
        path: the file.
        split: which part it is; None: a column or the file's name says so.

    Raises:
        UserError: no such file, none of this corpus, or nobody says which part it is.
    """
    kind = _JsonReader if path.suffix.lower() in JSON_LINES else _Reader
    reader = kind(corpus, path, split)
    for number, line in reader.lines:
        reader.take(number, line)
    return reader.listing()


def read_subtitles(folder: Path, *, lang: str | None, split: str | None) -> Listing:
    """Make a clip of every subtitle of a folder: ``NAME.srt`` or ``NAME.vtt``, also ``NAME.en.vtt``, is of NAME.

    Raises:
        UserError: no such folder, or no subtitles in it.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUBTITLE_SUFFIXES and file.is_file())
    if not files:
        raise UserError(f"there are no .srt and no .vtt files in {folder}", fix="give the folder they lie in")
    clips: list[Clip] = []
    failures: list[tuple[str, SltError]] = []
    quirks: Counter[str] = Counter()
    for file in files:
        name = re.sub(r"\.[a-z]{2,3}(-[A-Za-z]+)?$", "", file.stem)
        extra = {"split": split or split_of(file.parent) or "all", "source": name}
        try:
            rolling = read_rolling(file) if file.suffix.lower() == ".vtt" else None
            cues = rolling.sentences if rolling else read_sentences(file)
        except SltError as error:
            failures.append((str(file), error))
            continue
        quirks += rolling.counts if rolling else Counter()
        times = ((f"{name}_{number}", cue) for number, cue in enumerate(cues, 1))
        clips += [
            Clip(id=key, video=name, start_s=cue.start_s, end_s=cue.end_s, text=cue.text, lang=lang, extra=extra)
            for key, cue in times
        ]
    return Listing(
        clips=tuple(clips),
        rows=len(clips) + len(failures),
        failures=tuple(failures),
        quirks=quirks + Counter(overlapping=count_overlaps(clips)),
        warnings=(),
    )


def count_overlaps(clips: Sequence[Clip]) -> int:
    """Return how many clips begin before the one before them in the same video has ended."""
    last: dict[str | None, float] = {}
    overlaps = 0
    for clip in sorted(clips, key=lambda clip: (clip.video or "", clip.start_s or 0.0)):
        if clip.start_s is not None and clip.end_s is not None:
            overlaps += clip.start_s < last.get(clip.video, 0.0)
            last[clip.video] = max(clip.end_s, last.get(clip.video, 0.0))
    return overlaps


class _Reader:
    """Takes the lines of one list, one after another.

    Args:
        corpus: how it is written down.
        path: the file.
        split: which part it is; None: a column or the file's name says so.
    """

    def __init__(self, corpus: Corpus, path: Path, split: str | None) -> None:
        self._corpus, self._path = corpus, path
        mistakes: list[Mistake] = []
        self.lines = list(read_lines(path, mistakes))
        self._failures = [
            (f"{path.name} line {one.line}", UserError(f"found {one.found}, expected {one.expected}"))
            for one in mistakes
        ]
        self._columns, self._separator = self._header()
        self._rows = len(self.lines) + len(mistakes)
        self._names = self._find_columns()
        self._split = split or split_of(path)
        if self._split is None and "split" not in self._names:
            raise UserError(f"the name of {path} does not say which part of the corpus it is", fix="--split train")
        self._clips: dict[str, Clip] = {}
        self._at: dict[str, int] = {}
        self._quirks: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()

    def take(self, number: int, line: str) -> None:
        """Make a clip of a line, or note why it is none."""
        quirks: Counter[str] = Counter()
        try:
            clip = self._clip(self._cells(line, quirks), quirks)
            if clip.id in self._clips:
                raise UserError(f"its id {shown(clip.id)} is that of line {self._at[clip.id]}")
        except UserError as error:
            self._failures.append((f"{self._path.name} line {number}", error))
        else:
            self._clips[clip.id] = clip
            self._at[clip.id] = number
            self._quirks += quirks

    def listing(self) -> Listing:
        """Return what was read."""
        clips = tuple(self._clips.values())
        self._quirks["overlapping"] = count_overlaps(clips)
        old = [why for name, why in self._corpus.old_columns.items() if name in self._names.values()]
        return Listing(
            clips=clips,
            rows=self._rows,
            failures=tuple(self._failures),
            quirks=self._quirks,
            warnings=tuple(f"{self._path}: {why}" for why in old),
        )

    def _header(self) -> tuple[list[str], str]:
        """Return the names of the columns, and what stands between cells; the header's line is taken."""
        corpus = self._corpus
        if corpus.header:
            return list(corpus.header), corpus.separators[0]
        _, line = self.lines.pop(0) if self.lines else (0, "")
        splits = [([cell.strip().strip('"') for cell in line.split(one)], one) for one in corpus.separators]
        wanted = {name for names in corpus.columns.values() for name in names}
        return max(splits, key=lambda split: (len(wanted & set(split[0])), len(split[0])))

    def _find_columns(self) -> dict[str, str]:
        """Return what is needed → the column it is in."""
        found: dict[str, str] = {}
        missing: dict[str, str] = {}
        for what, names in self._corpus.columns.items():
            name = next((name for name in names if name in self._columns), None)
            if name is not None:
                found[what] = name
            elif what not in self._corpus.optional:
                missing[what] = " or ".join(names)
        if missing:
            raise self._lacks(missing)
        return found

    def _lacks(self, missing: dict[str, str]) -> UserError:
        """Return the error of a list without some columns: what each is for → its names."""
        is_own, wanted = self._corpus.name == OWN_TABLE, ", ".join(missing.values())
        where = str(self._path) if is_own else f"{self._path} is no list of {self._corpus.name}: it"
        options = "say which columns these are: " + " ".join(f"--{what} COLUMN" for what in missing)
        other = "give the list as it was downloaded, or name its columns: slt prepare table --help"
        return UserError(
            f"{where} has the columns {', '.join(self._columns)[:300]}; expected also {wanted}",
            fix=did_you_mean(next(iter(missing.values())), self._columns) or (options if is_own else other),
        )

    def _cells(self, line: str, quirks: Counter[str]) -> dict[str, str]:
        """Return a line's cells by column, whatever was done about quotes."""
        cells = self._comma_cells(line, quirks) if self._separator == "," else line.split(self._separator)
        if len(cells) != len(self._columns):
            raise UserError(f"found {len(cells)} cells, expected {len(self._columns)}: {shown(line)}")
        unquoted = [self._unquoted(cell, quirks) for cell in cells]
        return {name: " ".join(cell.split()) for name, cell in zip(self._columns, unquoted, strict=True)}

    def _comma_cells(self, line: str, quirks: Counter[str]) -> list[str]:
        """Quotes as the format wants them; or none, and the last column, a sentence, may hold commas itself."""
        try:
            (cells,) = csv.reader([line], strict=True)
        except (csv.Error, ValueError):
            cells = []
        if len(cells) == len(self._columns):
            return cells
        quirks["commas or quotes that are not escaped"] += 1
        return line.split(",", len(self._columns) - 1)

    def _unquoted(self, cell: str, quirks: Counter[str]) -> str:
        """Undo the quotes some programs put around a cell that holds some; quotes of the sentence itself stay."""
        if self._separator == "," or '""' not in cell or not _QUOTED.fullmatch(cell):
            return cell
        quirks["quotes that were doubled"] += 1
        return cell[1:-1].replace('""', '"')

    def _clip(self, row: Mapping[str, str], quirks: Counter[str]) -> Clip:
        try:
            cells = dict(self._corpus.cells({what: row[name] for what, name in self._names.items()}))
        except ValueError as error:
            raise UserError(f"its frame numbers or rate are none: {error}") from error
        start_s, end_s, _ = (self._seconds(what, cells.get(what, "")) for what in TIMES)
        if end_s is not None and end_s <= (start_s or 0.0):
            raise UserError(f"it ends at {end_s:g} s, and begins at {start_s or 0.0:g} s")
        name = self._corpus.video_name(cells["video"])
        if not name:
            raise UserError(f"its {self._names['video']} is empty, expected a video's name")
        if "id" not in cells:
            self._numbers[name] += 1
            cells["id"] = f"{name}_{self._numbers[name]}"
        if expected := complaint_about_id(cells["id"]):
            raise UserError(f"its id is {shown(cells['id'])}, expected {expected}")
        text = unicodedata.normalize("NFC", cells["text"])
        quirks["ids that begin with -"] += cells["id"].startswith("-")
        quirks["merged sentences"] += self._corpus.merged(row)
        quirks["without a text"] += not text
        quirks["letters in two pieces, joined"] += text != cells["text"]
        kept = {what: value for what, value in cells.items() if what not in _OWN and value}
        return Clip(
            id=cells["id"],
            video=cells["video"] if self._corpus.name == "table" else name,
            start_s=start_s,
            end_s=end_s,
            text=text or None,
            lang=self._corpus.lang if text else None,
            extra={"split": self._split_of(cells), "source": name, **kept},
        )

    def _split_of(self, cells: Mapping[str, str]) -> str:
        said = cells.get("split", "")
        split = SPLITS.get(said.lower(), said) or self._split
        if not split or complaint_about_id(split):
            raise UserError(f"its split is {shown(said)}, expected one of train, val and test")
        return split

    def _seconds(self, what: str, cell: str) -> float | None:
        """Return the seconds of a time, None for none."""
        if not cell or cell in self._corpus.whole:
            return None
        try:
            seconds = clock_seconds(cell) if ":" in cell else float(cell.replace("_", "?"))
        except ValueError:
            seconds = None
        if seconds is None or not isfinite(seconds) or seconds < 0:
            raise UserError(
                f"its {self._names[what]} is {shown(cell)}, expected seconds, or a time such as 00:01:05.333"
            )
        return seconds


class _JsonReader(_Reader):
    """The same of JSON Lines: an object per line, whose keys are the columns."""

    def _header(self) -> tuple[list[str], str]:
        """Return all keys that occur; a line that is no object is told when its turn comes."""
        names: dict[str, None] = {}
        for _, line in self.lines:
            with suppress(UserError):
                names |= dict.fromkeys(read_object(line))
        return list(names), ""

    def _cells(self, line: str, quirks: Counter[str]) -> dict[str, str]:
        """Return a line's values by key; a key that is not there is an empty cell."""
        row = read_object(line)
        cells = {name: row.get(name) for name in self._columns}
        for name, value in cells.items():
            if name in self._names.values() and not isinstance(value, (str, type(None))):
                raise UserError(f"its {name} is {value!r:.60}, expected a text or a number")
        return {name: " ".join(value.split()) if isinstance(value, str) else "" for name, value in cells.items()}
