"""Made-up recordings of letters in the layout of the package they come from: which fingers are raised is the letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slt.data.fingerspelling.alphabets import LETTERS
from slt.video.keypoints import LEFT_HAND, N_JOINTS, POSE, RIGHT_HAND, PoseFile, write_pose

SIGNERS = {"ase": 0.10, "asq": 0.12, "ise": 0.09, "swl": 0.1}
"""How large the hand of each is, in picture widths; ise is left-handed, and the alphabet of swl is another."""


def hand(letter: str) -> np.ndarray:
    """Return (21, 3) joints of a right hand in palm sizes: each finger is raised or bent, by the letter's number."""
    joints = np.zeros((21, 3))
    number = LETTERS.index(letter) + 1
    for finger in range(5):
        joints[1 + 4 * finger] = [0.6 - 0.3 * finger, -1.0 + 0.4 * (finger == 0), 0.0]
        raised = number >> finger & 1
        for place in range(1, 4):
            step = [0.02, -0.35, 0.0] if raised else [0.0, -0.3 + 0.25 * place, -0.2]
            joints[1 + 4 * finger + place] = joints[4 * finger + place] + step
    return joints


def recording(letter: str, signer: str) -> np.ndarray:
    """Return (T, 75, 3) keypoints: the hand comes up, stays, and goes down."""
    rng = np.random.default_rng((LETTERS.index(letter), len(signer)))
    rise = np.concatenate([np.linspace(3, 0, 4), np.zeros(14), np.linspace(0, 3, 4)])
    shape = np.repeat(hand(letter)[None], len(rise), 0) + rng.normal(size=(len(rise), 21, 3)) * 0.01
    shape[..., 1] += rise[:, None]
    shape[:, 1:] += rise[:, None, None] * rng.normal(size=(20, 3)) * 0.1  # the fingers are not yet in their places
    if letter in "JZ":  # they move, which tells them from others
        shape[4:18, :, 0] += np.sin(np.linspace(0, 2 * np.pi, 14))[:, None]
    keypoints = np.full((len(rise), N_JOINTS, 3), np.nan, np.float32)
    keypoints[:, POSE] = np.linspace(0.2, 0.8, 33)[:, None]
    keypoints[:, RIGHT_HAND] = shape * SIGNERS[signer] + [0.4, 0.5, 0.0]
    if signer == "ise":
        keypoints[:, LEFT_HAND] = keypoints[:, RIGHT_HAND] * [-1, 1, 1] + [1, 0, 0]
        keypoints[:, RIGHT_HAND] = np.nan
    return keypoints


def make_recordings(folder: Path, signers: tuple[str, ...] = ("ase", "asq", "ise", "swl")) -> Path:
    """Write recordings of all letters by some signers, and their index; return the folder."""
    rows = ["path,spoken_language,signed_language,start,end,words,glosses,priority"]
    for signer in signers:
        (folder / signer).mkdir(parents=True)
        for letter in LETTERS:
            path = f"{signer}/fs-{letter}.pose"
            pose = PoseFile(keypoints=recording(letter, signer), fps=25, height=500, width=500)
            write_pose(folder / path, pose)
            rows.append(f"{path},xx,{signer},0,880,{letter},{letter},0")
    rows += [row.replace(",ase,", ",fsl,") for row in rows if ",ase," in row]  # as in the package: the same files
    (folder / "index.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder
