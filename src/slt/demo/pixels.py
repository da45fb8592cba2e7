"""Labelled windows of the synthetic corpus, cut once and cached on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt.assets.cards import PreprocessCard
from slt.core.files import atomic_write
from slt.core.workers import workers
from slt.data.synthetic.labels import LabelledClip
from slt.frontend.clip import at_rate
from slt.frontend.signhiera import window_inputs
from slt.models.signhiera import SignHieraConfig, normalise
from slt.video.decode import open_video
from slt.video.windows import Window

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class LabelledWindow:
    """One window of a clip without its padding.

    Attributes:
        clip: position of its clip in the list that was read.
        pixels: (n, size, size, 3) uint8 RGB, the sampled frames, mapped from disk.
        signs: (n_rows,) int64 id of the sign at each feature row, labels.NO_SIGN between signs.
        cues: (n_rows, 3) float32, 1 where a cue of grammar.CUES is made.
    """

    clip: int
    pixels: NDArray[np.uint8]
    signs: NDArray[np.int64]
    cues: NDArray[np.float32]

    @property
    def n_rows(self) -> int:
        """How many feature rows it gives."""
        return len(self.signs)


def read_windows(
    clips: Sequence[LabelledClip], preprocess: PreprocessCard, cache: Path, *, progress: Progress | None = None
) -> list[LabelledWindow]:
    """Cut the windows of ``clips``, or read them from ``cache`` where an earlier call left them.

    Args:
        clips: what ``labels.read_clips`` gave.
        preprocess: how videos are cut for the model to be trained.
        cache: path of two files to be, ``<cache>.u8`` and ``<cache>.json``.
        progress: called with (clips done, clips in all).
    """
    index = cache.with_suffix(".json")
    if not index.exists():
        _cut_all(clips, preprocess, cache, progress)
    size = preprocess.size
    pixels = np.memmap(cache.with_suffix(".u8"), np.uint8, "r").reshape(-1, size, size, 3)
    windows, first = [], 0
    for clip, times in json.loads(index.read_text()):
        rows = _row_times(np.array(times))
        windows.append(
            LabelledWindow(
                clip=clip,
                pixels=pixels[first : first + len(times)],
                signs=clips[clip].sign_ids(rows),
                cues=clips[clip].cue_flags(rows),
            )
        )
        first += len(times)
    return windows


def to_batch(frames: Sequence[NDArray[np.uint8]], config: SignHieraConfig) -> tuple[Tensor, Tensor]:
    """Pad windows to the extractor's length.

    Args:
        frames: (n_i, size, size, 3) uint8 each.
        config: of the extractor.

    Returns:
        pixels (B, 3, T, size, size) float32 and padding (B,) int64 in frames.
    """
    n_frames, size = config.input_size[0], config.input_size[1]
    padding = torch.tensor([n_frames - len(window) for window in frames])
    pixels = torch.zeros(len(frames), 3, n_frames, size, size)
    for row, window in zip(pixels, frames, strict=True):
        row[:, : len(window)] = normalise(torch.from_numpy(np.array(window))[None])[0]
    return pixels, padding


def _cut_all(clips: Sequence[LabelledClip], preprocess: PreprocessCard, cache: Path, progress: Progress | None) -> None:
    jobs = ((clip.video, preprocess) for clip in clips)
    entries: list[Any] = []
    with atomic_write(cache.with_suffix(".u8")) as handle, workers(len(clips)) as pool:
        for number, cut in enumerate(pool.map(_cut, jobs, chunksize=4)):
            for pixels, times in cut:
                handle.write(pixels.tobytes())
                entries.append((number, times))
            if progress:
                progress(number + 1, len(clips))
    with atomic_write(cache.with_suffix(".json")) as handle:
        handle.write(json.dumps(entries).encode())


def _cut(job: tuple[Path, PreprocessCard]) -> list[tuple[NDArray[np.uint8], list[float]]]:
    """Return each window of one video as its sampled frames without padding, and their times in seconds."""
    path, preprocess = job
    clip = at_rate(open_video(path), preprocess)
    cut = []
    for one in window_inputs(clip, preprocess):
        window = cast(Window, one.window)
        kept = preprocess.num_frames - window.padding
        cut.append((one.content[:kept], (window.indices[:kept] / clip.video.info.fps).tolist()))
    return cut


def _row_times(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middle of each feature row: of two sampled frames, or of the last one alone."""
    pairs = np.append(times_s, times_s[-1:]) if len(times_s) % 2 else times_s
    return pairs.reshape(-1, 2).mean(axis=1)
