"""Read CSL-Daily's labels, which are pickles, and its list of splits."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slt.core.errors import SltError, UserError
from slt.core.safe_pickle import load_pickle
from slt.data.corpora.listing import Listing, split_of
from slt.data.corpora.registry import SPLITS, stem
from slt.data.lines import Mistake, read_bytes, read_lines, shown
from slt.data.manifest import Clip, complaint_about_id

LANG = "zho_Hans"
RATE = (
    "CSL-Daily was filmed at 30 frames per second; a folder of frames is read as 25, so that its times are 1.2 times "
    "as long as they were (videos keep theirs)"
)
_WANTED = "CSL-Daily's labels: a dict with a list of clips as info; or Uni-Sign's: name → text, gloss, video_path"


def read_csl_daily(labels: Sequence[Path], splits: Path) -> tuple[dict[Path, Listing], str]:
    """Make a clip of every row of the list of splits, with the labels of its name.

    Args:
        labels: ``csl2020ct_v2.pkl``.
        splits: lines ``name|split``, with that header or without.

    Returns:
        What was read, by the list; and the SHA-256 of the labels, for the record.

    Raises:
        UserError: no such file, another content, or a pickle that wants to run something.
    """
    known = {name: label for path in labels for name, label in _labels(path)}
    mistakes: list[Mistake] = []
    lines = list(read_lines(splits, mistakes))
    lines = lines[1:] if lines and lines[0][1].replace(" ", "").lower() == "name|split" else lines
    failures: list[tuple[str, SltError]] = [(f"{splits.name} line {one.line}", UserError(str(one))) for one in mistakes]
    clips: dict[str, Clip] = {}
    for number, line in lines:
        try:
            clip = _of_row(line, known)
            if clip.id in clips:
                raise UserError(f"{clip.id} is there twice")
            clips[clip.id] = clip
        except UserError as error:
            failures.append((f"{splits.name} line {number}", error))
    quirks = Counter({"labels of no split": len(set(known) - set(clips))})
    listing = _listing(clips, failures, len(lines) + len(mistakes), quirks)
    return {splits: listing}, " ".join(hashlib.sha256(read_bytes(path)).hexdigest() for path in labels)


def read_label_files(labels: Sequence[Path], *, split: str | None) -> dict[Path, Listing]:
    """Make a clip of every entry of label files, each of one split, by its name.

    Raises:
        UserError: as for ``read_csl_daily``; or a file's name does not say which split it is.
    """
    listings = {}
    for path in labels:
        part = split or split_of(path) or split_of(Path(path.suffix.lstrip(".")))
        if part is None:
            raise UserError(
                f"the name of {path} does not say which part of the corpus it is",
                fix="--csv split_1.txt, the list of splits; or --split train",
            )
        clips: dict[str, Clip] = {}
        failures: list[tuple[str, SltError]] = []
        rows = 0
        for name, label in _labels(path):
            rows += 1
            try:
                clips[name] = _clip(name, label, part)
            except UserError as error:
                failures.append((name, error))
        listings[path] = _listing(clips, failures, rows, Counter())
    return listings


def _listing(
    clips: Mapping[str, Clip], failures: list[tuple[str, SltError]], rows: int, quirks: Counter[str]
) -> Listing:
    quirks["without a text"] += sum(not clip.text for clip in clips.values())
    return Listing(clips=tuple(clips.values()), rows=rows, failures=tuple(failures), quirks=quirks, warnings=(RATE,))


def _of_row(line: str, known: Mapping[str, Mapping[str, Any]]) -> Clip:
    """Return the clip of a row ``name|split``."""
    name, bar, said = (part.strip() for part in line.partition("|"))
    split = SPLITS.get(said.lower())
    if not bar or split is None:
        raise UserError(f"found {shown(line)}, expected name|split, and train, dev or test")
    if name not in known:
        raise UserError(f"the labels have no clip {shown(name)}")
    return _clip(name, known[name], split)


def _clip(name: str, label: Mapping[str, Any], split: str) -> Clip:
    if expected := complaint_about_id(name):
        raise UserError(f"its name is {shown(name)}, expected {expected}")
    text = _joined(label, ("label_char", "text"), between="")
    gloss = _joined(label, ("label_gloss", "gloss"), between=" ")
    path = label.get("video_path")
    video = stem(path) if isinstance(path, str) and path else name
    extra = {"split": split, "source": video}
    for column, value in {"gloss": gloss, "signer": label.get("signer"), "n_frames": label.get("length")}.items():
        if value not in (None, "") and isinstance(value, (str, int)):
            extra[column] = str(value)
    return Clip(id=name, video=video, text=text or None, lang=LANG if text else None, extra=extra)


def _joined(label: Mapping[str, Any], names: Sequence[str], *, between: str) -> str:
    """Return the first of some entries that is there: a text, or a list of pieces."""
    value = next((label[name] for name in names if name in label), "")
    pieces = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(piece, str) for piece in pieces):
        raise UserError(f"its {names[0]} is {value!r:.60}, expected a text or a list of texts")
    return unicodedata.normalize("NFC", " ".join(between.join(pieces).split()))


def _labels(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, label) of every clip in a pickle.

    Raises:
        UserError: no such file, another content, or a pickle that wants to run something.
    """
    content = load_pickle(path)
    if isinstance(content, dict) and isinstance(content.get("info"), (list, tuple)):
        pairs: list[Any] = [(one.get("name") if isinstance(one, dict) else None, one) for one in content["info"]]
    elif isinstance(content, dict):
        pairs = list(content.items())
    else:
        pairs = []
    if not pairs or not all(isinstance(name, str) and isinstance(label, dict) for name, label in pairs):
        raise UserError(f"{path} holds {type(content).__name__}, expected {_WANTED}")
    yield from pairs
