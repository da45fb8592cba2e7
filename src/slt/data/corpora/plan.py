"""The plan of `slt prepare`, and the state of each split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slt.core.errors import SltError
from slt.data.corpora.listing import Listing
from slt.data.manifest import Clip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be made of a corpus.

    Attributes:
        corpus: its name.
        listings: what was read, by the file or folder it was read from.
        videos: the folder of the corpus's videos; None: there are none here, and manifests tell only what is known.
        out: the folder to write to.
        cut: whether segments of longer videos become files of their own; else manifests refer to the segments.
        options: whatever else decides what is written, for the record.
    """

    corpus: str
    listings: Mapping[Path, Listing]
    videos: Path | None
    out: Path
    cut: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Part:
    """One split of a corpus, in the making.

    Attributes:
        clips: what its manifest will hold, in the order of the lists.
        missing: videos that were not found → how many clips are in them.
        failures: (clip, why it is not in the manifest).
        counts: what was done to clips, and how often.
        ids: of all clips that were met, in the manifest or not.
    """

    ids: set[str] = field(default_factory=set)
    clips: list[Clip] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, SltError]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
