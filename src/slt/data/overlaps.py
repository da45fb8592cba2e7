"""Overlaps between clips: ids, time spans, and across splits videos and sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from slt.data.findings import Entry, Finding, finding
from slt.data.unicode_forms import normalise

# Where a clip is in two splits, the one whose results are told keeps it.
KEEPERS = ("test", "val")


def overlaps(entries: Sequence[Entry]) -> list[Finding]:
    """Return every finding about clips that share something; the ones that are not named keep it."""
    ranked = sorted(entries, key=lambda entry: KEEPERS.index(entry.split) if entry.split in KEEPERS else len(KEEPERS))
    return [*_ids(ranked), *_stretches(ranked), *_across_splits(ranked)]


def _ids(entries: Sequence[Entry]) -> Iterator[Finding]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.clip.id, entry)
        if first is not entry:
            yield finding("ids", entry, f"in {first.split} too")


def _stretches(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield clips that are another clip to the moment, and those that share moments with another split's."""
    by_recording: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.recording is None:
            continue
        start, end = entry.segment
        for other in by_recording[entry.recording]:
            if other.split == entry.split and other.segment == (start, end):
                yield finding("same clip twice", entry, f"the same segment as {other.clip.id}")
                break
            if other.split != entry.split and max(start, other.segment[0]) < min(end, other.segment[1]):
                yield finding("clip in two splits", entry, f"shares moments with {other.clip.id} in {other.split}")
                break
        by_recording[entry.recording].append(entry)


def _across_splits(entries: Sequence[Entry]) -> Iterator[Finding]:
    yield from _shared(entries, "video in two splits", lambda entry: entry.recording)
    yield from _shared(entries, "sentence in two splits", _sentence)


def _shared(entries: Sequence[Entry], check: str, what: Callable[[Entry], str | None]) -> Iterator[Finding]:
    """Yield clips of which something is in an earlier split too."""
    first: dict[str, Entry] = {}
    for entry in entries:
        key = what(entry)
        if key and first.setdefault(key, entry).split != entry.split:
            yield finding(check, entry, f"as {first[key].clip.id} in {first[key].split}")


def _sentence(entry: Entry) -> str:
    return normalise(entry.clip.text or "", "NFC").casefold()
