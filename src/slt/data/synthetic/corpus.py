"""Write a corpus of the synthetic language: H.264 clips and a manifest per split.

Layout of a corpus folder: ``train.tsv``, ``val.tsv``, ``test.tsv`` and ``videos/<split>/<id>.mp4``; with joints, the
manifests' column ``pose`` names ``videos/<split>/<id>.pose``, or without pictures their column ``video`` does.
"""

from __future__ import annotations

import itertools
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.workers import workers
from slt.data.synthetic.face import wholebody_points
from slt.data.synthetic.grammar import LANGUAGES, SPLITS, Meaning, sentences, sign, write
from slt.data.synthetic.joints import joints
from slt.data.synthetic.motion import FPS, Performance, perform
from slt.data.synthetic.signer import SIZE, Signer, draw_frames, draw_signer
from slt.video.keypoints import PoseFile, write_pose
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, SKELETONS

COLUMNS = ("id", "video", "start_s", "end_s", "text", "lang", "text_deu_Latn", "signer", "glosses", "cues")
WITH_JOINTS = (*COLUMNS, "pose")
# With more threads, or with the macroblock tree, x264 does not write the same bytes every time.
ENCODING = {"crf": "20", "preset": "veryfast", "x264-params": "no-mbtree=1"}
DRAWING = 1  # raised whenever the same seed draws other videos
JOINTS: Mapping[str, Callable[[Performance, Signer], NDArray[np.float32]]] = {
    MEDIAPIPE_75.name: joints,
    COCO_WHOLEBODY_133.name: wholebody_points,
}
"""Skeleton → what computes the joints of a drawn clip."""
_SIGNERS = {"train": 1000, "val": 40, "test": 60}  # no signer of one split is in another


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """One clip to be drawn; everything about it follows from these four.

    Attributes:
        name: the clip's id.
        split: one of grammar.SPLITS.
        meaning: what it says.
        seed: of its signer, motion and noise.
    """

    name: str
    split: str
    meaning: Meaning
    seed: tuple[int, int]

    def text(self, lang: str) -> str:
        """Return its sentence in ``lang``."""
        return write(self.meaning, lang)


def share_out(n_clips: int) -> dict[str, int]:
    """Share clips out over the splits, 8 : 1 : 1, at least one each.

    Raises:
        UserError: fewer than three clips.
    """
    if n_clips < 3:
        raise UserError(f"{n_clips} clips cannot fill {len(SPLITS)} splits", fix="ask for at least 3 clips")
    tenth = max(1, n_clips // 10)
    return {"train": n_clips - 2 * tenth, "val": tenth, "test": tenth}


def plan_corpus(n_clips: Mapping[str, int], seed: int) -> Iterator[SyntheticClip]:
    """Yield the clips of a corpus; a larger corpus of the same seed begins with the smaller one."""
    for number, (split, n) in enumerate(n_clips.items()):
        meanings = sentences(split, random.Random(f"{split}-{seed}"))
        for index, meaning in enumerate(itertools.islice(meanings, n)):
            yield SyntheticClip(
                name=f"{split}-{index:06d}", split=split, meaning=meaning, seed=(1000 * seed + number, index)
            )


def perform_clip(clip: SyntheticClip) -> tuple[Performance, Signer, np.random.Generator]:
    """Let one clip's signer sign it; the generator goes on to the noise of the pictures."""
    rng = np.random.default_rng(clip.seed)
    number = int(rng.integers(_SIGNERS[clip.split]))
    name = f"{clip.split}-signer-{number:04d}"
    signer = draw_signer(name, np.random.default_rng((zlib.crc32(clip.split.encode()), number)))
    return perform(sign(clip.meaning), signer.manner, rng), signer, rng


def draw_clip(clip: SyntheticClip) -> tuple[NDArray[np.uint8], Performance, Signer]:
    """Draw one clip.

    Returns:
        frames (T, 224, 224, 3) uint8 RGB at 25 frames per second, the motion behind them, the signer.
    """
    performance, signer, rng = perform_clip(clip)
    return draw_frames(signer, performance, rng), performance, signer


def write_corpus(
    out: Path,
    n_clips: Mapping[str, int],
    seed: int,
    *,
    with_joints: bool = False,
    skeleton: str = MEDIAPIPE_75.name,
    with_videos: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Draw a corpus on every core; a run that was killed goes on where it stopped.

    Args:
        out: the corpus folder, made if need be.
        n_clips: how many clips of each split.
        seed: two corpora of one seed are the same.
        with_joints: also write where the signers' joints are, a ``.pose`` file beside each video.
        skeleton: which joints, a key of ``JOINTS``.
        with_videos: without them nothing is drawn: of each clip there are only its joints.
        progress: called with (clips done, clips in all).

    Returns:
        the manifest of each split.

    Raises:
        UserError: ``out`` holds a corpus of another seed or with other joints, or cannot be written to; or neither
            videos nor joints are to be written.
    """
    if not (with_joints or with_videos):
        raise UserError("neither videos nor joints would be written", fix="add --joints, or remove --no-videos")
    clips = list(plan_corpus(n_clips, seed))
    _note_origin(out, seed, skeleton if with_joints else None)
    for split in n_clips:
        (out / "videos" / split).mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {split: [] for split in n_clips}
    kinds = {"video": with_videos, "pose": with_joints}
    write = partial(_write_clip, out=out, kinds=[kind for kind, wanted in kinds.items() if wanted], skeleton=skeleton)
    with workers(len(clips)) as pool:
        for done, (clip, row) in enumerate(zip(clips, pool.map(write, clips, chunksize=4), strict=True), 1):
            rows[clip.split].append(row)
            if progress:
                progress(done, len(clips))
    manifests = {split: out / f"{split}.tsv" for split in n_clips}
    for split, path in manifests.items():
        with atomic_write(path) as handle:
            columns = WITH_JOINTS if with_joints and with_videos else COLUMNS
            handle.write(("\n".join(["\t".join(columns), *rows[split]]) + "\n").encode())
    return manifests


def write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write frames, (T, H, W, 3) uint8 RGB with even H and W, as H.264 at 25 frames per second."""
    with atomic_write(path) as handle, av.open(handle, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=int(FPS), options=ENCODING)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())


def _note_origin(out: Path, seed: int, skeleton: str | None) -> None:
    """Describe in the folder which corpus it holds, so that two are never mixed.

    Args:
        out: the folder.
        seed: of the corpus.
        skeleton: of the joints that are to be written to it; None: none are.
    """
    note, origin = out / "corpus.json", {"seed": seed, "drawing": DRAWING}
    found = json.loads(note.read_text()) if note.exists() else origin
    if {name: value for name, value in found.items() if name != "joints"} != origin:
        raise UserError(
            f"{out} holds a corpus of {_described(found)}; asked for is {_described(origin)}",
            fix="choose another folder, or remove that one",
        )
    by_default = MEDIAPIPE_75.name if any(out.glob("videos/*/*.pose")) else None  # which is not noted
    held = found.get("joints", by_default)
    if skeleton and held and skeleton != held:
        raise UserError(
            f"{out} holds joints of {held}; asked for are those of {skeleton}",
            fix="choose another folder, or remove that one",
        )
    noted = {**found, **({"joints": skeleton} if skeleton not in (None, MEDIAPIPE_75.name) else {})}
    if noted != found or not note.exists():
        with atomic_write(note) as handle:
            handle.write((json.dumps(noted) + "\n").encode())


def _described(origin: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in origin.items())


def _write_clip(clip: SyntheticClip, out: Path, *, kinds: Sequence[str], skeleton: str) -> str:
    """Write a clip's files, unless they are there; return its row of the manifest.

    Args:
        clip: which.
        out: the corpus folder.
        kinds: of files, "video" and "pose".
        skeleton: of the joints in a ``.pose`` file.
    """
    performance, signer, rng = perform_clip(clip)
    paths = {"video": f"videos/{clip.split}/{clip.name}.mp4", "pose": f"videos/{clip.split}/{clip.name}.pose"}
    if "video" in kinds and not (out / paths["video"]).exists():
        write_video(out / paths["video"], draw_frames(signer, performance, rng))
    if "pose" in kinds and not (out / paths["pose"]).exists():
        found = JOINTS[skeleton](performance, signer)
        pose = PoseFile(keypoints=found, fps=FPS, height=SIZE, width=SIZE, skeleton=SKELETONS[skeleton])
        write_pose(out / paths["pose"], pose)
    first, *rest = (paths[kind] for kind in kinds)
    return "\t".join((*_row(clip, first, performance, signer.name), *rest))


def _row(clip: SyntheticClip, video: str, performance: Performance, signer: str) -> tuple[str, ...]:
    signed = sign(clip.meaning)
    spans = performance.signs
    glosses = " ".join(f"{gloss}@{first / FPS:.2f}-{after / FPS:.2f}" for gloss, first, after in spans)
    cues = " ".join(
        f"{span.cue}@{spans[span.first][1] / FPS:.2f}-{spans[span.last][2] / FPS:.2f}" for span in signed.cues
    )
    english, german = (clip.text(lang) for lang in LANGUAGES)
    end = len(performance.yaw) / FPS
    return clip.name, video, "0.00", f"{end:.2f}", english, LANGUAGES[0], german, signer, glosses, cues
