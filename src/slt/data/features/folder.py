"""Features in one file per clip, ``<id>.npy`` or ``<id>.pt``, in a folder tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.features.by_clip import FeaturesByClip
from slt.data.features.header import StoreHeader

READERS = (".npy", ".pt")
KEYPOINTS = (75, 3)
KEYPOINTS_FIX = "keypoints as other programs write them: slt features import DIR --layout NAME"


class FolderFeatures(FeaturesByClip):
    """The features in a folder of files named by id, ssvp_slt's ``<epoch>/<id[:5]>/<id>.pt`` included.

    Attributes:
        folder: where they lie.
        header: how wide they are, and in which numbers, by the first of them; what made them is not recorded.
        places: the file of each clip, by id.

    Raises:
        UserError: there is no such file, the first cannot be read, or an id has two files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: dict[str, Path] = {}
        for root, folders, names in os.walk(folder):
            folders.sort()
            for path in sorted(Path(root, name) for name in names if Path(name).suffix in READERS):
                if (other := self.places.setdefault(path.stem, path)) is not path:
                    raise UserError(
                        f"two files hold the features of {path.stem}: {other} and {path}",
                        fix="name the folder of one of them: of one epoch, or of one split",
                    )
        if not self.places:
            raise UserError(
                f"{folder} holds no features: neither a store, nor files <id>.npy or <id>.pt", fix=KEYPOINTS_FIX
            )
        first = read_features(next(iter(self.places.values())))
        dtype: Any = "float16" if first.dtype == np.float16 else "float32"
        self.header = StoreHeader(feature_dim=first.shape[1], dtype=dtype)

    def read(self, id: str) -> NDArray[Any]:
        """See ``FeaturesByClip``."""
        return read_features(self.places[id])

    def where(self, id: str) -> str:
        """See ``FeaturesByClip``."""
        return str(self.places[id])


def read_features(path: Path) -> NDArray[Any]:
    """Read one clip's features, (N, feature_dim) float16 or float32; keypoints (N, 75, 3) become (N, 225).

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            return array_of((read_npy if path.suffix == ".npy" else read_pt)(file, str(path)), str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def array_of(held: object, what: str) -> NDArray[Any]:
    """Return one clip's features as they are kept, (N, feature_dim) float16 or float32.

    Args:
        held: an array of floats (N, D), or keypoints (N, 75, 3).
        what: holds it, for the error.

    Raises:
        UserError: it is something else.
    """
    features = np.asarray(held)
    if features.shape[1:] == KEYPOINTS:
        features = features.reshape(len(features), -1)
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind != "f":
        raise UserError(
            f"{what} holds {features.dtype} of shape {features.shape}, expected floats (N, feature_dim)",
            fix=KEYPOINTS_FIX if features.ndim == 3 else None,
        )
    return features if features.dtype == np.float16 else features.astype(np.float32)


def read_npy(file: BinaryIO, what: str) -> NDArray[Any]:
    """Read an array as ``np.save`` writes it; never a pickle.

    Raises:
        UserError: it is damaged, or holds objects.
    """
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise UserError(f"{what} is not a whole .npy file of numbers: {error}") from error


def read_pt(file: BinaryIO, what: str) -> NDArray[Any]:
    """Read a tensor as ``torch.save`` writes it; nothing else in it is run.

    Raises:
        UserError: it is damaged, or holds something else.
    """
    import torch

    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(f"{what} cannot be read as a tensor: it is damaged, or wants more than tensors") from error
    if not isinstance(held, torch.Tensor):
        raise UserError(f"{what} holds a {type(held).__name__}, expected a tensor (N, feature_dim)")
    return (held.float() if held.dtype == torch.bfloat16 else held).detach().numpy()
