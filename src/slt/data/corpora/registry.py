"""The table of known corpora: columns, delimiters and quirks of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# The names by which lists and folders call the parts of a corpus.
SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")


def stem(name: str) -> str:
    """Return a video's name without its suffix; a dot within a name is none."""
    base = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return next((base[: -len(suffix)] for suffix in SUFFIXES if base.lower().endswith(suffix)), base)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """How one corpus is written down.

    Attributes:
        name: what ``slt prepare`` calls it.
        lang: the FLORES-200 code of its texts.
        columns: what is needed (id, video, start, end, text, split, and what is kept besides) → the names its column
            may have; the first that is there counts.
        optional: those of ``columns`` that need not be there.
        header: the columns' names where the files have no header.
        separators: what may stand between cells; the first under which the header fits counts.
        whole: cells that stand for "no time": the clip is the whole video.
        video_name: from the video's cell to the name of its file, without suffix, or of its folder of frames.
        merged: whether a row is several sentences in one, by its cells.
        old_columns: columns that are there in a file one had better not use, and why not.
    """

    name: str
    lang: str | None
    columns: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    separators: tuple[str, ...] = ("\t",)
    whole: tuple[str, ...] = ()
    video_name: Callable[[str], str] = stem
    merged: Callable[[Mapping[str, str]], bool] = field(default=lambda row: False)
    old_columns: Mapping[str, str] = field(default_factory=dict)


def _several_how2sign_sentences(row: Mapping[str, str]) -> bool:
    """``8kAWy2YodzQ_16_17_18-1-rgb_front``: behind the video's id, which may hold anything, several numbers."""
    numbers = row["SENTENCE_NAME"].removeprefix(row.get("VIDEO_ID", ""))
    return re.match(r"(_\d+){2,}(-|$)", numbers) is not None


def _phoenix_folder(cell: str) -> str:
    """``NAME/1/*.png``: the frames lie in the folder NAME itself."""
    return re.sub(r"(/1)?(/\*?\.?\w+)?$", "", cell.strip("/")) if "*" in cell else cell


HOW2SIGN = Corpus(
    name="how2sign",
    lang="eng_Latn",
    columns={
        "id": ("SENTENCE_NAME",),
        "video": ("VIDEO_NAME",),
        "start": ("START_REALIGNED", "START"),
        "end": ("END_REALIGNED", "END"),
        "text": ("SENTENCE",),
    },
    separators=("\t", ","),
    merged=_several_how2sign_sentences,
    old_columns={"START": "these are the original stamps, which lie beside the signing: better use the realigned file"},
)
PHOENIX = Corpus(
    name="phoenix",
    lang="deu_Latn",
    columns={
        "id": ("name",),
        "video": ("video",),
        "start": ("start",),
        "end": ("end",),
        "text": ("translation",),
        "signer": ("speaker",),
        "gloss": ("orth",),
    },
    optional=("signer", "gloss"),
    separators=("|",),
    whole=("-1",),
    video_name=_phoenix_folder,
)
DAILYMOTH = Corpus(
    name="dailymoth",
    lang="eng_Latn",
    columns={"id": ("video_name",), "video": ("video_name",), "duration": ("duration",), "text": ("caption",)},
    header=("video_name", "duration", "caption"),
)
OPENASL = Corpus(
    name="openasl",
    lang="eng_Latn",
    columns={
        "id": ("vid",),
        "video": ("yid",),
        "start": ("start",),
        "end": ("end",),
        "text": ("raw-text",),
        "split": ("split",),
        "signer": ("signer_id",),
    },
    optional=("signer",),
)


def own_table(columns: Mapping[str, str], *, lang: str | None, separator: str | None) -> Corpus:
    """Return the corpus of somebody's own table.

    Args:
        columns: what is needed (video, text; id, start, end, split where there are any) → its column's name. Without
            an id the clips of a video are numbered.
        lang: the language of its texts.
        separator: what stands between cells; None: a tab, a comma, a semicolon or a bar, whichever fits the header.
    """
    return Corpus(
        name="table",
        lang=lang,
        columns={what: (name,) for what, name in columns.items()},
        separators=(separator,) if separator else ("\t", ",", ";", "|"),
        whole=("-1",),
    )
