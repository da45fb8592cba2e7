"""Words that the American signer's recorded letters spell: the shipped clips, read and drawn beside their letters."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core import log
from slt.core.errors import SltError
from slt.data.fingerspelling.corpus import PICTURE, held_out_clips, recorded
from slt.data.fingerspelling.recordings import FPS
from slt.data.fingerspelling.spell import Letters
from slt.data.manifest import read_manifest
from slt.demo.spelling_plan import LANG, NAME
from slt.models.spelling import spelling_hand
from slt.pipeline.result import Translation
from slt.pipeline.translator import Translator
from slt.text.decoder import Letter
from slt.video.keypoints import PoseFile, write_pose

WORDS = Path(__file__).parent / "spelled" / "words.tsv"
TITLE = (
    "real hands, fingerspelled: words that no training had, of letters recorded by the American signer. The model that "
    "reads them\nwas trained on this signer's letters, too; without them it reads {letters:.0f} % of the letters of "
    "such words."
)
COLUMNS, LINES = 10, 5  # characters of one drawn hand
_BONES = [(0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17)]
_BONES += [(first + step, first + step + 1) for first in (1, 5, 9, 13, 17) for step in range(3)]
# Braille: the dots of a character are 2 wide and 4 high; its bits by (row, column).
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One word as it is shown.

    Attributes:
        spelled: the word.
        read: what the model read.
        lines: the hands, one per letter that was read, and the letters with their confidence below.
    """

    spelled: str
    read: str
    lines: Sequence[str]


def show_words() -> None:
    """Read the shipped words, and print each with a strip of the hand at each letter.

    Raises:
        SltError: a shipped word could not be read.
    """
    translator = Translator(NAME)
    manifest = read_manifest(WORDS)
    held_out = translator.load().card.made["held_out"]["words"]
    log.result("\n" + TITLE.format(letters=100 * held_out["letters"]))
    words = []
    for clip in manifest.clips:
        video = manifest.video_path(clip)
        if video is None or clip.text is None:
            raise SltError(f"{WORDS} is damaged: {clip.id} lacks its file or its word")
        words.append(show_word(translator.translate(video), clip.text))
    for word in words:
        log.result("")
        for line in word.lines:
            log.result(line)
        log.result(f"spelled {word.spelled}, read {word.read or 'nothing'}")


def show_word(translation: Translation, spelled: str) -> Shown:
    """Return one word with the hand drawn at each letter that was read."""
    best = translation.texts[LANG][0]
    hands = spelling_hand(
        translation.features[None], translation.features.new_ones(1, len(translation.features)).bool()
    )
    letters = best.letters or ()
    drawings = [draw_hand(hand_at(hands[0].numpy(), one)) for one in letters]
    lines = ["  ".join(drawing[line] for drawing in drawings).rstrip() for line in range(LINES)]
    names = "  ".join(f"{one.letter} {100 * one.confidence:.0f} %".center(COLUMNS) for one in letters)
    return Shown(spelled=spelled, read=best.text, lines=[*lines, names.rstrip()])


def hand_at(hands: NDArray[np.float32], letter: Letter) -> NDArray[np.float32]:
    """Return the (21, 3) hand of (T, 21, 3) in the frame nearest to a letter's in which it is seen."""
    seen = np.flatnonzero(np.isfinite(hands[:, 0, 0]))
    frame = seen[np.argmin(np.abs(seen - letter.at * len(hands)))]
    return hands[frame]


def draw_hand(hand: NDArray[np.float32]) -> list[str]:
    """Return a (21, 3) hand as lines of braille characters, as the camera sees it."""
    width, height = 2 * COLUMNS, 4 * LINES
    low, high = hand[:, :2].min(0), hand[:, :2].max(0)
    scale = min((width - 1) / max(high[0] - low[0], 1e-6), (height - 1) / max(high[1] - low[1], 1e-6))
    middle = (np.array([width, height]) - 1) / 2
    places = (hand[:, :2] - (low + high) / 2) * scale + middle
    dots = np.zeros((height, width), bool)
    for first, last in _BONES:
        way = np.linspace(places[first], places[last], 2 * height)
        column, row = np.rint(way).astype(int).T
        dots[row.clip(0, height - 1), column.clip(0, width - 1)] = True
    cells = dots.reshape(LINES, 4, COLUMNS, 2).transpose(0, 2, 1, 3)
    codes = 0x2800 + (cells * _BITS).sum((2, 3))
    return ["".join(chr(code) for code in line) for line in codes]


def write_words(folder: Path, letters: Letters, signer: str, *, n_words: int = 3, licence: Path | None = None) -> None:
    """Write the first test words of one signer as ``.pose`` files and a manifest, as the package ships them.

    Args:
        folder: for ``words.tsv`` and the files; made if need be.
        letters: the recordings.
        signer: whose, by language.
        n_words: how many.
        licence: the licence of the recordings, to lie beside them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id\tvideo\ttext\tlang"]
    for number, clip in enumerate(held_out_clips(recorded(letters, signer), signer, n_words, seed=1)):
        file = f"word-{number}.pose"
        pose = PoseFile(keypoints=clip.keypoints, fps=FPS, height=PICTURE, width=PICTURE)
        write_pose(folder / file, pose)
        rows.append("\t".join((clip.id, file, clip.spelled.text, LANG)))
    (folder / "words.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    if licence:
        shutil.copyfile(licence, folder / "LICENSE.spoken-to-signed.txt")
