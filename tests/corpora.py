"""Corpora in the shape of the published ones, drawn small, with every quirk that was met in the real ones."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_video

FPS = 25
HOW2SIGN_COLUMNS = (
    "VIDEO_ID", "VIDEO_NAME", "SENTENCE_ID", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED", "SENTENCE",
)  # fmt: skip
# Videos of each split; the ids are as odd as YouTube's: one begins with -, one holds what looks like numbers.
HOW2SIGN_VIDEOS = {"train": ("-fZc293MpJk", "8kAWy2_1_zQ"), "val": ("10om04b2LIw",), "test": ("g0_1_2_3abc",)}
SENTENCES = 5  # drawn in each video, of about 4 s each


@dataclass(frozen=True, kw_only=True)
class TestCorpus:
    """A corpus on the disk, and what should come of it.

    Attributes:
        lists: split → its list.
        videos: the folder of videos.
        clips: split → ids its manifest should have, in order.
        failed: what each row that is no clip is called, and a word of the reason.
        missing: videos that are not there.
    """

    __test__ = False

    lists: dict[str, Path]
    videos: Path
    clips: dict[str, list[str]]
    failed: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@cache
def drawn(split: str, n: int) -> tuple[tuple[NDArray[np.uint8], str], ...]:
    """Return ``n`` drawn clips: (T, 224, 224, 3) uint8 RGB frames, and the English sentence."""
    plans = plan_corpus({split: n}, seed=11)
    return tuple((draw_clip(plan)[0], plan.text("eng_Latn")) for plan in plans)


def write_how2sign(folder: Path, *, separator: str = "\t", original: bool = False) -> TestCorpus:
    """Write a corpus like How2Sign: long videos, and lists of sentences with their times."""
    lists, clips = {}, {}
    failed: dict[str, str] = {}
    for split, names in HOW2SIGN_VIDEOS.items():
        rows: list[list[str]] = []
        signed = drawn(split, SENTENCES * len(names))
        for index, name in enumerate(names):
            mine = signed[SENTENCES * index : SENTENCES * (index + 1)]
            video = folder / "raw_videos" / split / f"{name}-1-rgb_front.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            write_video(video, np.concatenate([frames for frames, _ in mine]))
            rows += _sentences(name, [len(frames) for frames, _ in mine], [text for _, text in mine])
        clips[split] = [row[3] for row in rows]
        lists[split] = folder / f"how2sign{'' if original else '_realigned'}_{split}.csv"
        if split == "train":
            failed = _add_odd_rows(rows, names[0], lists[split].name)
            clips[split].append("lostvideo01_0-1-rgb_front")
            (folder / "raw_videos" / "train" / "brokenvid01-1-rgb_front.mp4").write_bytes(b"no video" * 100)
        header = [name.removesuffix("_REALIGNED") if original else name for name in HOW2SIGN_COLUMNS]
        lists[split].write_text("".join(separator.join(row) + "\n" for row in [header, *rows]), "utf-8")
    return TestCorpus(
        lists=lists,
        videos=folder / "raw_videos",
        clips=clips,
        failed=failed,
        missing=("lostvideo01-1-rgb_front",),
    )


def _row(name: str, number: str, start_s: float, end_s: float, text: str) -> list[str]:
    return [
        name,
        f"{name}-1-rgb_front",
        f"{name}_{number}",
        f"{name}_{number}-1-rgb_front",
        f"{start_s:.2f}",
        f"{end_s:.2f}",
        text,
    ]


def _sentences(name: str, n_frames: list[int], texts: list[str]) -> list[list[str]]:
    """Four rows of five sentences: the second overlaps the first, the last is two in one and ends past the video."""
    ends = np.cumsum(n_frames) / FPS
    return [
        _row(name, "0", 0.0, ends[0], texts[0]),
        _row(name, "1", ends[0] - 0.2, ends[1], f'"{texts[1]}" she said, "yes'),
        _row(name, "2", ends[1] + 0.013, ends[2], texts[2]),
        _row(name, "3_4", ends[2], ends[4] + 0.8, f"{texts[3]} {texts[4]}"),
    ]


def _add_odd_rows(rows: list[list[str]], name: str, file: str) -> dict[str, str]:
    """Add rows that cannot become clips, and one whose video is lost; return what should be said of the former."""
    line = len(rows) + 2
    rows += [
        _row(name, "90", 9.0, 8.0, "Backwards."),
        _row(name, "91", 900.0, 901.0, "After the end."),
        _row(name, "92", 0.5, 0.51, "Between two frames."),
        [*_row(name, "93", 0.0, 1.0, "No number.")[:4], "0.x", "1", "No number."],
        rows[0],
        rows[1][:4],
        _row("brokenvid01", "0", 0.0, 2.0, "Whose video is broken."),
        _row("lostvideo01", "0", 0.0, 2.0, "Whose video is lost."),
    ]
    return {
        f"{file} line {line}": "it ends at 8 s, and begins at 9 s",
        f"{name}_91-1-rgb_front": "begins at 900 s, and its video lasts",
        f"{name}_92-1-rgb_front": "shows no frame from 0.5 to 0.51 s",
        f"{file} line {line + 3}": "its START",
        f"{file} line {line + 4}": "is that of line 2",
        f"{file} line {line + 5}": "found 4 cells, expected 7",
        "brokenvid01_0-1-rgb_front": "is not a video that FFmpeg can read",
    }


PHOENIX_CLIPS = {
    "train": ("11August_2010_Wednesday_tagesschau-2", "01März_2011_Tuesday_heute-7", "lost-1"),
    "dev": ("11August_2010_Wednesday_tagesschau-8",),
    "test": ("25October_2010_Monday_tagesschau-22",),
}
WEATHER = "am tag scheint verbreitet die sonne — im süden schwacher wind"


def write_phoenix(folder: Path) -> TestCorpus:
    """Write a corpus like PHOENIX-2014-T: folders of frames, and lists with bars that name them by another path."""
    lists, clips = {}, {}
    for split, names in PHOENIX_CLIPS.items():
        rows = ["name|video|start|end|speaker|orth|translation"]
        for name, (frames, _) in zip(names, drawn("val", len(names)), strict=True):
            rows.append(f"{name}|{name}/1/*.png|-1|-1|Signer08|TAG SÜD SONNE|{WEATHER}, {name[:2]}")
            if name.startswith("lost"):
                continue
            # Some unpackers write letters with marks in two pieces.
            place = folder / "features" / "fullFrame-210x260px" / split / unicodedata.normalize("NFD", name)
            place.mkdir(parents=True)
            for number, frame in enumerate(frames[:30]):
                picture = cv2.cvtColor(cv2.resize(frame, (210, 260)), cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(place / f"images{number:04d}.png"), picture)
        lists[split] = folder / "annotations" / f"PHOENIX-2014-T.{split}.corpus.csv"
        lists[split].parent.mkdir(exist_ok=True, parents=True)
        lists[split].write_text("\n".join(rows) + "\n", "utf-8")
        clips["val" if split == "dev" else split] = list(names)
    return TestCorpus(lists=lists, videos=folder, clips=clips, missing=("lost-1",))


@pytest.fixture(scope="session")
def how2sign(tmp_path_factory: pytest.TempPathFactory) -> TestCorpus:
    """A corpus like How2Sign; not to be written to."""
    return write_how2sign(tmp_path_factory.mktemp("how2sign"))


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> TestCorpus:
    """A corpus like PHOENIX-2014-T; not to be written to."""
    return write_phoenix(tmp_path_factory.mktemp("phoenix"))
