"""The models' stages, each alone: windows to features, features to a sentence embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.models.signhiera import normalise
from slt.video.windows import Window

# One full-size window keeps every core busy, and holds 2 GB while it does; a GPU wants more to do at once.
WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 8}


def extract_features(
    extractor: nn.Module,
    windows: Iterable[tuple[Window, NDArray[np.uint8]]],
    *,
    on_windows: Callable[[int], None] | None = None,
) -> Tensor:
    """Turn the windows of one clip into its features.

    Args:
        extractor: (B, 3, T, H, W) pixels and (B,) padding to a FeatureBatch; on any device, in any floating dtype.
        windows: each with its pixels, (num_frames, size, size, 3) uint8; a ``WindowStream``.
        on_windows: called with the number of windows done.

    Returns:
        (N, feature_dim) on the extractor's device, window after window, padding dropped.
    """
    (features,) = extract_several(extractor, ((0, *window) for window in windows), on_windows=on_windows).values()
    return features


@torch.inference_mode()
def extract_several(
    extractor: nn.Module,
    windows: Iterable[tuple[int, Window, NDArray[np.uint8]]],
    *,
    on_windows: Callable[[int], None] | None = None,
) -> dict[int, Tensor]:
    """Turn windows of several clips, in any order, into the features of each; windows of all clips share batches.

    Args:
        extractor: as for ``extract_features``.
        windows: each with the number of its clip before it.
        on_windows: called with the number of windows done.

    Returns:
        number of the clip → (N, feature_dim), as ``extract_features`` gives.
    """
    at_once = WINDOWS_AT_ONCE.get(next(extractor.parameters()).device.type, 1)
    rows: dict[int, list[Tensor]] = {}
    waiting, done = iter(windows), 0
    while batch := list(islice(waiting, at_once)):
        pixels, padding = [part[2] for part in batch], [part[1].padding for part in batch]
        found = window_features(extractor, pixels, padding)
        for (clip, _, _), features in zip(batch, found, strict=True):
            rows.setdefault(clip, []).append(features)
        done += len(batch)
        if on_windows:
            on_windows(done)
    return {clip: torch.cat(parts) for clip, parts in rows.items()}


@torch.inference_mode()
def window_features(extractor: nn.Module, pixels: Sequence[NDArray[np.uint8]], padding: Sequence[int]) -> list[Tensor]:
    """Put windows, of whichever clips, through the extractor together.

    Args:
        extractor: as for ``extract_features``.
        pixels: of each window, (num_frames, size, size, 3) uint8.
        padding: of each window, how many frames at its end only repeat the last one.

    Returns:
        Each window's own features, (N_i, feature_dim), padding dropped.
    """
    weight = next(extractor.parameters())
    frames = torch.from_numpy(np.stack(pixels)).to(weight.device)
    return extractor(normalise(frames).to(weight.dtype), torch.tensor(padding)).clips()


@torch.inference_mode()
def encode(encoder: nn.Module, features: Tensor, visual: Tensor | None = None) -> EncoderOutput:
    """Embed one clip.

    Args:
        encoder: a FeatureBatch to an EncoderOutput; on the features' device.
        features: (N, feature_dim).
        visual: (M, visual_dim), the second stream, for an encoder that takes one.

    Returns:
        The output of a batch of one.
    """
    return encoder(FeatureBatch.of([features], [] if visual is None else [visual]))
