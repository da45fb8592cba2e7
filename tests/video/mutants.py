"""Videos broken at random, each the same whenever it is made from its number, and what becomes of them.

Run as a program it tries the numbers of a range, and says of each, in one line, how it ended.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from slt.core.errors import UserError
from slt.video import crop
from slt.video.cache import CachedVideo
from slt.video.crop import find_signer
from slt.video.decode import open_video
from slt.video.detect import Detector, load_detector
from slt.video.prefetch import prefetch
from slt.video.rate import to_working_rate
from slt.video.stream import WindowStream, cropped_frames
from slt.video.windows import WindowGeometry
from tests.video.films import write_film

GEOMETRY = WindowGeometry(num_frames=16, stride_frames=8)
SIZE = (48, 64)
N_LOOKED_AT = 20
"""In so many mutants faces are looked for as ever; it takes nearly all of the time."""

KINDS = {
    "mp4": {},
    "mov": {"muxer": {"movflags": "frag_every_frame+empty_moov"}},
    "mkv": {},
    "ts": {},
    "webm": {"codec": "libvpx-vp9"},
    "avi": {"codec": "mpeg4"},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def write_originals(folder: Path) -> list[Path]:
    """Write a whole film of every kind."""
    return [write_film(folder / f"whole.{suffix}", n=20, size=SIZE, **about) for suffix, about in KINDS.items()]


def mutant(number: int, originals: list[Path], folder: Path) -> Path:
    """Write the broken film of this number: one to three things are done to a whole one."""
    random = np.random.default_rng(number)
    whole = originals[random.integers(len(originals))]
    data, suffix = bytearray(whole.read_bytes()), whole.suffix
    for _ in range(random.integers(1, 4)):
        change = CHANGES[random.integers(len(CHANGES))]
        data = change(data, random, originals)
    if random.random() < 0.2:  # another name than it should have
        suffix = originals[random.integers(len(originals))].suffix
    path = folder / f"{number}{suffix}"
    path.write_bytes(data)
    return path


def _cut(data: bytearray, random: np.random.Generator, _: list[Path]) -> bytearray:
    return data[: random.integers(len(data) + 1)]


def _flipped(data: bytearray, random: np.random.Generator, _: list[Path]) -> bytearray:
    for place in random.integers(len(data), size=random.integers(1, 60)) if data else ():
        data[place] ^= 1 << int(random.integers(8))
    return data


def _overwritten(data: bytearray, random: np.random.Generator, _: list[Path]) -> bytearray:
    begin, end = sorted(random.integers(len(data) + 1, size=2))
    data[begin:end] = bytes([random.choice([0, 255])]) * (end - begin)
    return data


def _beheaded(data: bytearray, random: np.random.Generator, originals: list[Path]) -> bytearray:
    """Give it the first bytes of another."""
    other = originals[random.integers(len(originals))].read_bytes()
    n_bytes = int(random.integers(1, 400))
    data[:n_bytes] = other[:n_bytes]
    return data


def _shortened(data: bytearray, random: np.random.Generator, _: list[Path]) -> bytearray:
    begin, end = sorted(random.integers(len(data) + 1, size=2))
    del data[begin:end]
    return data


def _lengthened(data: bytearray, random: np.random.Generator, _: list[Path]) -> bytearray:
    place = int(random.integers(len(data) + 1))
    data[place:place] = random.bytes(int(random.integers(1, 500)))
    return data


Change = Callable[[bytearray, np.random.Generator, list[Path]], bytearray]
CHANGES: list[Change] = [_cut, _flipped, _overwritten, _beheaded, _shortened, _lengthened]


def tried(path: Path) -> str:
    """Take a video to its windows, as translating does; return how that ended."""
    try:
        source = CachedVideo(to_working_rate(open_video(path)))
        signer = find_signer(source, "dlib-hog")
        crops = prefetch(cropped_frames(source, signer, 32), 64)
        stream = WindowStream(crops, fps=source.info.fps, geometry=GEOMETRY)
        n_windows = sum(1 for _ in stream)
    except UserError as error:
        return f"refused: {error.message}"
    return f"read: {stream.n_frames} frames, {n_windows} windows, {len(source.warnings)} warnings"


def odd_sizes_only(name: str) -> Detector:
    """Make a detector that sees nobody in a picture of the usual size: broken or not, it is an array like any other."""
    detect = load_detector(name)
    assert detect
    return lambda frame: [] if frame.shape[:2] == SIZE else detect(frame)


def main() -> None:
    """Try the mutants from one number to another."""
    first, after = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        originals = write_originals(Path(name))
        for number in range(first, after):
            if number >= N_LOOKED_AT:
                crop.load_detector = odd_sizes_only
            print(number, tried(mutant(number, originals, Path(name))).replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
