"""Drawn signing as features that cost nothing to make: the signers' motion itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, write_manifest
from slt.data.synthetic.corpus import SyntheticClip, perform_clip, plan_corpus
from slt.data.synthetic.grammar import Meaning

EVERY = 4  # frames; a sentence then has about 20 features
MOTION_DIM = 22


def motion(clip: SyntheticClip) -> NDArray[np.float32]:
    """Return (N, 22): both hands, the head's cues and its turn; angles in units of 60 degrees."""
    found, _, _ = perform_clip(clip)
    rows = np.concatenate([found.dominant, found.other, found.cues, found.yaw[:, None]], 1)[::EVERY]
    rows[:, [2, 11]] /= 60
    return rows.astype(np.float32)


def everything(meaning: Meaning) -> bool:
    """Keep all of the language."""
    return True


def write_drawn(
    folder: Path, n_clips: Mapping[str, int], *, keep: Callable[[Meaning], bool] = everything, signed: bool = True
) -> dict[str, dict[str, str]]:
    """Write manifests and stores of drawn splits, in English; return where they lie, as a recipe says it.

    Args:
        folder: where to.
        n_clips: of each split, before any is left out.
        keep: which meanings to keep; a smaller language is learnt from fewer clips.
        signed: False: nobody moves, so that only how long a clip is tells of its sentence.
    """
    splits = {split: {"manifest": str(folder / f"{split}.tsv"), "features": str(folder / split)} for split in n_clips}
    for split, where in splits.items():
        clips = []
        with FeatureWriter(Path(where["features"]), StoreHeader(feature_dim=MOTION_DIM, dtype="float32")) as store:
            for clip in plan_corpus(n_clips, seed=0):
                if clip.split == split and keep(clip.meaning):
                    store.add(clip.name, motion(clip) * signed)
                    clips.append(Clip(id=clip.name, video=None, text=clip.text("eng_Latn"), lang="eng_Latn"))
        write_manifest(Path(where["manifest"]), clips)
    return splits
