"""``prepare.json``: what a folder was prepared from, how, and the counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.corpora.plan import Part, Plan
from slt.data.cues import SUFFIXES as SUBTITLE_SUFFIXES
from slt.data.lines import read_bytes

NAME = "prepare.json"
_LIST_SUFFIXES = (*SUBTITLE_SUFFIXES, ".eaf")  # what a folder of lists holds


def begin_provenance(plan: Plan) -> dict[str, Any]:
    """Record what a folder is prepared from, before anything else is written, so that corpora never mix.

    Raises:
        UserError: it holds another corpus, other options, or a split of other lists; or cannot be written to.
    """
    path = plan.out / NAME
    lists = {place.name: {"sha256": digest(place)} for place in plan.listings}
    if len(lists) < len(plan.listings):
        raise UserError("two lists are of the same name", fix="rename one of them")
    splits = {split: {"lists": names} for split, names in _lists_of(plan).items()}
    about = {"corpus": plan.corpus, "cut": plan.cut, "options": dict(plan.options)}
    fresh: dict[str, Any] = {**about, "lists": lists, "splits": splits}
    note = _read(path)
    if note:
        _compare(plan.out, note, fresh)
        for part in ("lists", "splits"):
            note[part] = {**note[part], **{name: note[part].get(name, about) for name, about in fresh[part].items()}}
    note = note or fresh
    _write(path, note)
    return note


def finish_provenance(plan: Plan, note: dict[str, Any], parts: Mapping[str, Part]) -> None:
    """Write down what was counted."""
    for place, listing in plan.listings.items():
        note["lists"][place.name] |= {
            "rows": listing.rows,
            "clips": len(listing.clips),
            "quirks": {what: count for what, count in sorted(listing.quirks.items()) if count},
            "failures": [{"row": row, "reason": error.message} for row, error in listing.failures],
        }
    for split, part in parts.items():
        seconds = sum(clip.duration_s or 0.0 for clip in part.clips)
        note["splits"][split] |= {
            "clips": len(part.clips),
            "with_video": sum(clip.video is not None for clip in part.clips),
            "hours": round(seconds / 3600, 4),
            "quirks": dict(sorted(part.counts.items())),
            "missing_videos": dict(sorted(part.missing.items())),
            "failures": [{"clip": name, "reason": error.message} for name, error in part.failures],
        }
    _write(plan.out / NAME, note)


def digest(place: Path) -> str:
    """Return the SHA-256 of a list; of a folder, that of its subtitles or annotations and their names."""
    if not place.is_dir():
        return hashlib.sha256(read_bytes(place)).hexdigest()
    files = sorted(file for file in place.rglob("*") if file.suffix.lower() in _LIST_SUFFIXES and file.is_file())
    lines = [f"{digest(file)}  {file.relative_to(place)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lists_of(plan: Plan) -> dict[str, list[str]]:
    """Return which lists the clips of each split are in."""
    lists: dict[str, dict[str, None]] = {}
    for place, listing in plan.listings.items():
        for clip in listing.clips:
            lists.setdefault(clip.extra["split"], {})[place.name] = None
    return {split: list(names) for split, names in lists.items()}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        note = json.loads(read_bytes(path))
        if not {"corpus", "cut", "options", "lists", "splits"} <= set(note):
            raise ValueError("keys are missing")
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}", fix="choose another folder, or remove that one") from error
    return dict(note)


def _compare(out: Path, note: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Refuse to go on with something else than was begun."""
    fix = "choose another folder, or remove that one"
    for what in ("corpus", "cut", "options"):
        if note[what] != fresh[what]:
            raise UserError(f"{out} was prepared with {what} {note[what]!r}, asked for is {fresh[what]!r}", fix=fix)
    for name, about in fresh["lists"].items():
        if name in note["lists"] and note["lists"][name]["sha256"] != about["sha256"]:
            raise UserError(f"{out} was prepared from another {name} than this one", fix=fix)
    for split, about in fresh["splits"].items():
        before = note["splits"].get(split, about)["lists"]
        if before != about["lists"]:
            raise UserError(
                f"{out} has a split {split} made of {', '.join(before)}", fix=f"give all its lists at once; or {fix}"
            )


def _write(path: Path, note: Mapping[str, Any]) -> None:
    with atomic_write(path) as handle:
        handle.write((json.dumps(note, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
