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
OWN_TABLE = "table"
"""What a user's own table is called among the corpora."""
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
        cells: from what was found in a row (what is needed → cell) to what the other fields of this table expect.
        clips_note: what to know of the clips that the corpus publishes ready-made.
        n_clips: split → (clips published ready-made, rows of its list), where they differ.
        other_view: from the end of a clip's name to that of the same moment seen by another camera.
        without_signing: ids of clips that are known to show no signing.
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
    cells: Callable[[Mapping[str, str]], Mapping[str, str]] = field(default=lambda cells: cells)
    clips_note: str = ""
    n_clips: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    other_view: tuple[str, str] | None = None
    without_signing: frozenset[str] = frozenset()


def _several_how2sign_sentences(row: Mapping[str, str]) -> bool:
    """``8kAWy2YodzQ_16_17_18-1-rgb_front``: behind the video's id, which may hold anything, several numbers."""
    numbers = row["SENTENCE_NAME"].removeprefix(row.get("VIDEO_ID", ""))
    return re.match(r"(_\d+){2,}(-|$)", numbers) is not None


def _frames_to_seconds(cells: Mapping[str, str]) -> Mapping[str, str]:
    """Clips cut by frames: ``start`` and ``end`` are frame numbers at ``fps``, and name the clip's file.

    Raises:
        ValueError: one of them is not a number.
    """
    if "fps" not in cells:
        return cells
    start, end, fps = int(cells["start"]), int(cells["end"]), float(cells["fps"])
    if not 0 < fps < 1000:
        raise ValueError(f"{fps:g} frames per second")
    name = f"{cells['video']}.{start:06d}-{end:06d}"
    rest = {what: cell for what, cell in cells.items() if what != "fps"}
    return {**rest, "id": name, "start": repr(start / fps), "end": repr(end / fps)}


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
    clips_note="How2Sign's ready-made clips were cut with the original stamps, which lie beside the signing; "
    "for clips that fit their sentences, cut the full videos by the realigned lists",
    n_clips={"train": (31_048, 31_165), "val": (1_739, 1_741), "test": (2_343, 2_357)},
    other_view=("-rgb_front", "-rgb_side"),
    without_signing=frozenset(
        {"fzrJBu2qsM8_11-8-rgb_front", "g3Cc_1-V31U_23-3-rgb_front", "FzoUVr98JmQ_0-8-rgb_front"}
    ),
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
YOUTUBE_ASL = Corpus(
    name="youtube-asl",
    lang="eng_Latn",
    columns={
        "id": ("SENTENCE_NAME", "vid_id"),
        "video": ("VIDEO_NAME", "VIDEO_ID", "vid_id"),
        "start": ("START_REALIGNED", "START", "start_frame"),
        "end": ("END_REALIGNED", "END", "end_frame"),
        "text": ("SENTENCE", "annotation"),
        "fps": ("fps",),
    },
    optional=("fps",),
    separators=("\t", ","),
    cells=_frames_to_seconds,
)


def own_table(columns: Mapping[str, str], *, lang: str | None, separator: str | None) -> Corpus:
    """Return the corpus of a user's own table.

    Args:
        columns: what is needed (video, text; id, start, end, split where there are any) → its column's name. Without
            an id the clips of a video are numbered.
        lang: the language of its texts.
        separator: what stands between cells; None: a tab, a comma, a semicolon or a bar, whichever fits the header.
    """
    return Corpus(
        name=OWN_TABLE,
        lang=lang,
        columns={what: (name,) for what, name in columns.items()},
        separators=(separator,) if separator else ("\t", ",", ";", "|"),
        whole=("-1",),
    )
