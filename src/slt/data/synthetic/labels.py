"""Read back the labels of a synthetic corpus: texts, signs and cues with their times."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.synthetic.corpus import COLUMNS, WITH_JOINTS
from slt.data.synthetic.grammar import CUES, LANGUAGES
from slt.data.synthetic.lexicon import SIGNS

NO_SIGN = 0
SIGN_IDS = {gloss: number for number, gloss in enumerate(SIGNS, start=1)}


@dataclass(frozen=True, kw_only=True)
class TimedLabel:
    """A sign or a cue and when it is made, in seconds."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """One row of a manifest.

    Attributes:
        video: where the clip lies.
        texts: language -> sentence.
        glosses: the signs in order.
        cues: what the head does meanwhile.
    """

    name: str
    video: Path
    texts: dict[str, str]
    signer: str
    glosses: tuple[TimedLabel, ...]
    cues: tuple[TimedLabel, ...]

    def sign_ids(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the (N,) id of the sign made at each time, NO_SIGN between signs."""
        ids = np.full(len(times_s), NO_SIGN, np.int64)
        for label in self.glosses:
            ids[(times_s >= label.start_s) & (times_s < label.end_s)] = SIGN_IDS[label.name]
        return ids

    def cue_flags(self, times_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (N, 3), 1 where a cue of grammar.CUES is made."""
        flags = np.zeros((len(times_s), len(CUES)), np.float32)
        for label in self.cues:
            flags[(times_s >= label.start_s) & (times_s < label.end_s), CUES.index(label.name)] = 1.0
        return flags


def read_clips(manifest: Path) -> list[LabelledClip]:
    """Read a manifest that ``write_corpus`` wrote.

    Raises:
        UserError: no such file, or a manifest of something else.
    """
    try:
        with manifest.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            if tuple(rows.fieldnames or ()) not in (COLUMNS, WITH_JOINTS):
                raise UserError(
                    f"{manifest} is no manifest of a drawn corpus: its columns are {rows.fieldnames}",
                    fix="make one with `slt prepare synthetic`",
                )
            return [_clip(manifest.parent, row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"there is no manifest {manifest}", fix="make one with `slt prepare synthetic`") from None


def _clip(folder: Path, row: dict[str, str]) -> LabelledClip:
    return LabelledClip(
        name=row["id"],
        video=folder / row["video"],
        texts=dict(zip(LANGUAGES, (row["text"], row["text_deu_Latn"]), strict=True)),
        signer=row["signer"],
        glosses=_labels(row["glosses"]),
        cues=_labels(row["cues"]),
    )


def _labels(cell: str) -> tuple[TimedLabel, ...]:
    labels = []
    for item in cell.split():
        name, _, span = item.rpartition("@")
        start, _, end = span.partition("-")
        labels.append(TimedLabel(name=name, start_s=float(start), end_s=float(end)))
    return tuple(labels)
