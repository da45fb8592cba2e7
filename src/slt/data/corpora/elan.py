"""Read ELAN annotations: tiers chosen by name, several signers, their videos."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from slt.core.errors import SltError, UserError
from slt.data.corpora.listing import Listing, count_overlaps, split_of
from slt.data.corpora.registry import stem
from slt.data.lines import read_bytes
from slt.data.manifest import Clip, complaint_about_id

SUFFIX = ".eaf"
_OWN = frozenset({"id", "video", "start_s", "end_s", "text", "lang", "split", "source", "signer"})


@dataclass(frozen=True, kw_only=True)
class Tiers:
    """What to take of an annotation file; in names, ``*`` stands for the signer.

    Attributes:
        sentences: the tiers whose annotations are clips.
        columns: a manifest's column → the tier of the same signer whose annotations within a sentence go there.
        media: which linked video is a signer's: ``*`` for anything, ``{signer}`` for the signer; None: the only one.

    Raises:
        UserError: a column that slt fills itself.
    """

    sentences: Sequence[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    media: str | None = None

    def __post_init__(self) -> None:
        for name in self.columns:
            if name in _OWN or not name.isidentifier():
                raise UserError(
                    f"{name!r} cannot be a column for another tier", fix="--also 'gloss=NAME', or text_eng_Latn=NAME"
                )


@dataclass(frozen=True, kw_only=True)
class _Annotation:
    """One annotation: times in milliseconds, None where ELAN has none."""

    start: int | None
    end: int | None
    text: str


def read_elan(place: Path, tiers: Tiers, *, lang: str | None, split: str | None) -> Listing:
    """Make a clip of every annotation of the chosen tiers.

    Args:
        place: an ``.eaf`` file, or a folder tree of them.
        tiers: the tiers.
        lang: of the sentences.
        split: which part of the corpus they are; None: the files' names or folders say so, else "all".

    Raises:
        UserError: no such file, or none in the folder.
    """
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.suffix.lower() == SUFFIX and file.is_file())
        if not files:
            raise UserError(f"there are no {SUFFIX} files in {place}", fix="give the folder they lie in")
    reader = _Reader(tiers, lang)
    for file in files:
        below = [file, *(parent for parent in file.parents if place in parent.parents)]  # not what holds the corpus
        reader.take(file, split or next(filter(None, map(split_of, below)), "all"))
    return reader.listing()


class _Reader:
    """Takes one annotation file after another."""

    def __init__(self, tiers: Tiers, lang: str | None) -> None:
        self._tiers, self._lang = tiers, lang
        self._clips: dict[str, Clip] = {}
        self._rows = 0
        self._failures: list[tuple[str, SltError]] = []
        self._quirks: Counter[str] = Counter()

    def take(self, file: Path, split: str) -> None:
        """Make clips of a file's annotations, or note why there are none."""
        try:
            eaf = _parse(file)
            chosen = {name: signer for name in eaf.tiers if (signer := self._signer(eaf, name)) is not None}
            if not chosen:
                there = ", ".join(eaf.tiers) or "none"
                wanted = " or ".join(self._tiers.sentences)
                raise UserError(f"{file} has no tier {wanted}; its tiers: {there:.300}", fix="choose among these")
        except SltError as error:
            self._rows += 1
            self._failures.append((file.name, error))
            return
        for name, signer in chosen.items():
            try:
                self._take_tier(file, eaf, name, signer, split=split, several=len(chosen) > 1)
            except UserError as error:
                self._rows += 1
                self._failures.append((f"{file.name} {name}", error))

    def listing(self) -> Listing:
        """Return what was read."""
        clips = tuple(self._clips.values())
        self._quirks["overlapping"] = count_overlaps(clips)
        return Listing(clips=clips, rows=self._rows, failures=tuple(self._failures), quirks=self._quirks, warnings=())

    def _take_tier(self, file: Path, eaf: Any, tier: str, signer: str, *, split: str, several: bool) -> None:
        """Make a clip of each annotation of a signer's tier."""
        video, offset_s = self._video(file, eaf, signer)
        whose = "_" + re.sub(r"[^\w-]+", "_", signer) if several else ""
        columns = {
            column: [one for name in eaf.tiers if _captured(pattern, name) in (signer, "") for one in _data(eaf, name)]
            for column, pattern in self._tiers.columns.items()
        }
        for number, one in enumerate(sorted(_data(eaf, tier), key=lambda one: (one.start or 0, one.end or 0)), 1):
            self._rows += 1
            key = f"{file.stem}{whose}_{number}"
            extra = {"split": split, "source": video, "signer": signer}
            extra |= {column: text for column, here in columns.items() if (text := _within(here, one))}
            try:
                self._add(key, one, video, offset_s, extra)
            except UserError as error:
                self._failures.append((f"{file.name} {tier} {number}", error))

    def _add(self, key: str, one: _Annotation, video: str, offset_s: float, extra: Mapping[str, str]) -> None:
        if one.start is None or one.end is None:
            raise UserError("it has no time of its own", fix="align it in ELAN, or choose the tier that it belongs to")
        if one.end <= one.start:
            raise UserError(f"it ends at {one.end} ms, and begins at {one.start} ms")
        start_s, end_s = (round(ms / 1000 + offset_s, 3) for ms in (one.start, one.end))
        if start_s < 0:
            raise UserError(f"it begins {-start_s:g} s before its video, which begins {offset_s:g} s later")
        if expected := complaint_about_id(key):
            raise UserError(f"its id would be {key!r:.60}, expected {expected}")
        if key in self._clips:
            raise UserError(f"its id {key} is that of another file's annotation", fix="rename one of the files")
        self._quirks["without a text"] += not one.text
        self._quirks["offset of the video applied"] += offset_s != 0
        lang = self._lang if one.text else None
        self._clips[key] = Clip(
            id=key, video=video, start_s=start_s, end_s=end_s, text=one.text or None, lang=lang, extra=extra
        )

    def _signer(self, eaf: Any, tier: str) -> str | None:
        """Return whose sentences a tier holds; None when it is not among the chosen."""
        for pattern in self._tiers.sentences:
            found = _captured(pattern, tier)
            if found is not None:
                return found or eaf.tiers[tier][2].get("PARTICIPANT") or tier
        return None

    def _video(self, file: Path, eaf: Any, signer: str) -> tuple[str, float]:
        """Return the name of a signer's video, and what is to be added to the annotations' times, in seconds."""
        linked = {}
        for one in eaf.media_descriptors:
            place = unquote(one.get("RELATIVE_MEDIA_URL") or one.get("MEDIA_URL") or "")
            if name := stem(place):
                linked[name] = one
        if self._tiers.media is not None:
            wanted = self._tiers.media.replace("{signer}", signer).lower()
            fitting = {name: one for name, one in linked.items() if _captured(wanted, name.lower()) is not None}
            if not fitting:
                raise UserError(
                    f"{file} links no video {wanted} for the signer {signer}; it links {', '.join(linked) or 'none'}",
                    fix="choose another --media, or another --tier",
                )
            linked = fitting
        if not linked:
            self._quirks["videos by the annotations' own name"] += 1
            return file.stem, 0.0
        self._quirks["several linked videos, the first taken"] += len(linked) > 1
        name, one = next(iter(linked.items()))
        return name, int(one.get("TIME_ORIGIN") or 0) / 1000


def _parse(file: Path) -> Any:
    """Return pympi's reading of a file.

    Raises:
        UserError: no such file, not ELAN's, or XML that defines entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring
    from pympi.Elan import Eaf

    data = read_bytes(file)
    try:
        # pympi's parser would expand entities and follow them: what defines any goes no further.
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(
            f"{file} is refused: it defines entities or a document type ({type(error).__name__})",
            fix="save it with ELAN, which writes neither",
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"{file} is not XML: {error}"[:300], fix="copy it again, or save it with ELAN") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise UserError(f"{file} holds a {root.tag:.60}, expected ELAN's ANNOTATION_DOCUMENT")
    try:
        return Eaf(file, suppress_version_warning=True)
    except Exception as error:  # pympi checks nothing
        raise UserError(
            f"{file} cannot be read as ELAN's: {type(error).__name__}: {error}"[:300], fix="open and save it with ELAN"
        ) from error


def _data(eaf: Any, tier: str) -> Iterator[_Annotation]:
    """Yield the annotations of a tier; those that refer to others have the times of these."""
    aligned, referring, _, _ = eaf.tiers[tier]
    for start, end, text, _ in aligned.values():
        yield _Annotation(start=eaf.timeslots.get(start), end=eaf.timeslots.get(end), text=_clean(text))
    for name, (_, text, _, _) in referring.items():
        start, end = _times_of(eaf, name)
        yield _Annotation(start=start, end=end, text=_clean(text))


def _times_of(eaf: Any, name: str) -> tuple[int | None, int | None]:
    """Return the times of the annotation that another one refers to, however far up."""
    seen = set()
    while name not in seen:
        seen.add(name)
        aligned, referring, _, _ = eaf.tiers.get(eaf.annotations.get(name), ({}, {}, {}, 0))
        if name in aligned:
            start, end, _, _ = aligned[name]
            return eaf.timeslots.get(start), eaf.timeslots.get(end)
        if name not in referring:
            break
        name = referring[name][0]
    return None, None


def _within(annotations: Sequence[_Annotation], sentence: _Annotation) -> str:
    """Return the texts of the annotations whose middle lies within a sentence, in the order of their times."""
    if sentence.start is None or sentence.end is None:
        return ""
    timed = [(one.start, one.end, one.text) for one in annotations if one.start is not None and one.end is not None]
    within = [one for one in timed if sentence.start <= (one[0] + one[1]) / 2 < sentence.end and one[2]]
    return " ".join(text for _, _, text in sorted(within))


def _captured(pattern: str, name: str) -> str | None:
    """Return what ``*`` stands for in ``name``, "" without one; None when the name does not fit."""
    parts = (unicodedata.normalize("NFC", part) for part in pattern.split("*"))
    found = re.fullmatch("(.*)".join(map(re.escape, parts)), unicodedata.normalize("NFC", name))
    return None if found is None else "_".join(filter(None, found.groups()))


def _clean(text: str | None) -> str:
    return unicodedata.normalize("NFC", " ".join((text or "").split()))
