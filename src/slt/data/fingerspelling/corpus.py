"""Write a corpus of spelled words: ``.pose`` files and a manifest per split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.fingerspelling.alphabets import AGREEING, LETTERS
from slt.data.fingerspelling.recordings import FPS, Recording, digest_of, find_recordings, read_recordings
from slt.data.fingerspelling.spell import HELD_OUT, Letters, Spelled, Style, spell
from slt.data.fingerspelling.words import SPLITS, random_string, words
from slt.video.keypoints import HAND_DEPTH_UNIT, LEFT_HAND, N_JOINTS, POSE, RIGHT_HAND, Keypoints, PoseFile, write_pose
from slt.video.skeletons import MEDIAPIPE_BODY

COLUMNS = ("id", "video", "text", "lang", "signer")
PICTURE = 500  # pixels of the square picture that joints are shares of
RANDOM = 0.5  # share of random strings
LEFT_HANDED = 0.15
# The body's own joints of the spelling hand, and which joints of the hand they are.
_ON_HAND = {"right_wrist": 0, "right_thumb": 4, "right_index": 8, "right_pinky": 20}
_OTHER_SIDE = {"left": "right", "right": "left"}
_SWAPPED = [
    MEDIAPIPE_BODY.index(re.sub("left|right", lambda side: _OTHER_SIDE[side[0]], name)) for name in MEDIAPIPE_BODY
]


@dataclass(frozen=True, kw_only=True)
class SpelledClip:
    """One clip of a corpus.

    Attributes:
        id: of the clip.
        spelled: the hand, and what it spells.
        keypoints: of body and hands.
    """

    id: str
    spelled: Spelled
    keypoints: Keypoints


def usable(letters: Letters, held_out: str | None = None) -> Letters:
    """Return the letters without one signer's."""
    return Letters([one for one in letters.recordings if one.language != held_out])


def clips(
    letters: Letters, split: str, n_clips: int, seed: int, *, signers: Sequence[str] | None = None
) -> Iterator[SpelledClip]:
    """Yield clips of a split; a larger corpus of the same seed begins with the smaller one.

    Args:
        letters: the recordings.
        split: whose texts; in ``test``, words are spelled by each signer's own letters, as they are.
        n_clips: how many.
        seed: of everything.
        signers: who spells, by language; None: all whose alphabets agree with the American one.
    """
    chosen = list(signers or [one for one in AGREEING if one in letters.own])
    style = HELD_OUT if split == "test" else Style()
    for number in range(n_clips):
        rng = np.random.default_rng((seed, SPLITS.index(split), number))
        signer = chosen[rng.integers(len(chosen))]
        spelled = spell(choose_text(letters, signer, split, rng), letters, signer, rng, style)
        body = next(iter(letters.own[signer].values()))[0]
        yield SpelledClip(id=f"{split}-{number:06d}", spelled=spelled, keypoints=place(spelled, body, rng))


def held_out_clips(
    letters: Letters, signer: str, n_clips: int, seed: int, *, random: bool = False
) -> list[SpelledClip]:
    """Return words of the test split, spelled by one signer with their own letters as they were recorded.

    Args:
        letters: this signer's, from ``recorded``.
        signer: the language.
        n_clips: how many; words come again when there are fewer of the signer's letters.
        seed: which words, and how they are spelled.
        random: random strings of the test split instead.
    """
    known = "".join(letter for letter in LETTERS if letter in letters.own[signer])
    listed = [] if random else list(words("test", known))
    np.random.default_rng(seed).shuffle(listed)
    found = []
    for number in range(n_clips):
        rng = np.random.default_rng((seed, number))
        text = listed[number % len(listed)] if listed else random_string("test", known, rng)
        recording = letters.own[signer][text[0]][0]
        spelled = spell(text, letters, signer, rng, HELD_OUT)
        clip_id = f"{signer}-{number:04d}"
        found.append(SpelledClip(id=clip_id, spelled=spelled, keypoints=place(spelled, recording, rng)))
    return found


def choose_text(letters: Letters, signer: str, split: str, rng: np.random.Generator) -> str:
    """Return a word or a random string of a split; for test, of the signer's own letters."""
    have = letters.own[signer] if split == "test" else letters.any
    known = "".join(letter for letter in LETTERS if letter in have)
    listed = words(split, known)
    if not listed or rng.random() < RANDOM:
        return random_string(split, known, rng)
    return listed[rng.integers(len(listed))]


def place(spelled: Spelled, recording: Recording | None, rng: np.random.Generator) -> Keypoints:
    """Return a spelled word as keypoints, (T, 75, 3), somewhere in the picture, of a right or a left hand.

    Args:
        spelled: the hand.
        recording: whose body is beside it; None: the hand alone.
        rng: random generator.
    """
    size = (recording.size if recording else 0.1) * np.exp(rng.normal() * 0.2)
    where = np.array([rng.uniform(0.25, 0.4), rng.uniform(0.4, 0.65), 0.0])
    hand = (spelled.hand * [1, 1, 1 / HAND_DEPTH_UNIT]) * size + where
    hand[..., 2] -= hand[:, :1, 2]  # MediaPipe's depth of a hand is measured from its wrist
    found = np.full((len(hand), N_JOINTS, 3), np.nan, np.float32)
    found[:, RIGHT_HAND] = hand
    if recording is not None:
        found[:, POSE] = recording.body
        for name, joint in _ON_HAND.items():
            found[:, MEDIAPIPE_BODY.index(name)] = hand[:, joint]
    return mirrored(found) if rng.random() < LEFT_HANDED else found


def mirrored(keypoints: Keypoints) -> Keypoints:
    """Return (T, 75, 3) keypoints as a mirror shows them: left is right."""
    found = keypoints.copy()
    found[:, POSE] = keypoints[:, POSE][:, _SWAPPED]
    found[:, LEFT_HAND], found[:, RIGHT_HAND] = keypoints[:, RIGHT_HAND], keypoints[:, LEFT_HAND]
    found[..., 0] = 1 - found[..., 0]
    return found


def write_spelled_corpus(
    out: Path,
    n_clips: Mapping[str, int],
    seed: int,
    *,
    poses: Path | None = None,
    held_out: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write a corpus; the same seed gives the same files.

    Args:
        out: the corpus folder, made if need be.
        n_clips: how many clips of each split.
        seed: of everything.
        poses: folder of the recordings; None: those of the installed package.
        held_out: a signer, by language, who spells the test split and nothing of the others; None: all spell all.
        progress: called with (clips done, clips in all).

    Returns:
        the manifest of each split.

    Raises:
        UserError: the recordings cannot be read, nobody of that language was recorded, or ``out`` holds another corpus.
    """
    folder = find_recordings(poses)
    letters = Letters(read_recordings(folder))
    own = recorded(letters, held_out) if held_out else letters
    _note_origin(out, {"kind": "fingerspelling", "seed": seed, "held out": held_out, "recordings": digest_of(folder)})
    done, total, manifests = 0, sum(n_clips.values()), {}
    for split, n in n_clips.items():
        mine = own if split == "test" else usable(letters, held_out)
        rows = ["\t".join(COLUMNS)]
        for clip in clips(mine, split, n, seed):
            file = Path("poses") / split / f"{clip.id}.pose"
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            write_pose(out / file, PoseFile(keypoints=clip.keypoints, fps=FPS, height=PICTURE, width=PICTURE))
            rows.append("\t".join((clip.id, str(file), clip.spelled.text, "eng_Latn", clip.spelled.signer)))
            done += 1
            if progress:
                progress(done, total)
        manifests[split] = out / f"{split}.tsv"
        with atomic_write(manifests[split]) as handle:
            handle.write(("\n".join(rows) + "\n").encode())
    return manifests


def _note_origin(out: Path, origin: Mapping[str, Any]) -> None:
    """Describe in the folder which corpus it holds, so that two are never mixed.

    Raises:
        UserError: it holds another corpus, or manifests of unknown origin.
    """
    note = out / "corpus.json"
    if note.exists():
        found = json.loads(note.read_text("utf-8"))
        differing = [name for name in origin if found.get(name) != origin[name]]
        if differing:
            held, asked = ({name: one.get(name) for name in differing} for one in (found, origin))
            raise UserError(
                f"{out} holds another corpus, with {_described(held)}; asked for is {_described(asked)}",
                fix="choose another folder, or remove that one",
            )
        return
    if there := [f"{split}.tsv" for split in SPLITS if (out / f"{split}.tsv").exists()]:
        raise UserError(f"{out} holds {', '.join(there)} of another origin", fix="choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(note) as handle:
        handle.write((json.dumps(origin) + "\n").encode())


def _described(origin: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {str(value)[:12]}" for name, value in origin.items())


def recorded(letters: Letters, signer: str) -> Letters:
    """Return what one signer was recorded with, without letters derived by a rule.

    Raises:
        UserError: nobody of that language was recorded.
    """
    own = [one for one in letters.recordings if one.language == signer and not one.derived]
    if not own or signer not in AGREEING:
        raise UserError(
            f"no signer {signer!r} whose letters agree with the American ones", fix=f"one of {', '.join(AGREEING)}"
        )
    return Letters(own)
