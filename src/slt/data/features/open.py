"""Open features: a store, WebDataset shards, a Hugging Face dataset, or a folder of files."""

from __future__ import annotations

from pathlib import Path

from slt.core.errors import UserError
from slt.data.features.folder import FolderFeatures
from slt.data.features.header import HEADER_NAME
from slt.data.features.hf_dataset import HfDatasetFeatures, parquet_files
from slt.data.features.store import Features, FeatureStore
from slt.data.features.webdataset import TAR, WebDatasetFeatures
from slt.data.parquet import PARQUET


def open_features(path: Path) -> Features:
    """Open a feature store, WebDataset shards, a Hugging Face dataset, or a folder of ``<id>.npy`` or ``<id>.pt``.

    Raises:
        UserError: there is neither.
        SltError: the files of a store cannot be read.
    """
    if (path / HEADER_NAME).exists():
        return FeatureStore.open(path)
    if (path.is_file() and path.suffix == TAR) or any(path.glob(f"*{TAR}")):
        return WebDatasetFeatures(path)
    if (path.is_file() and path.suffix == PARQUET) or parquet_files(path):
        return HfDatasetFeatures(path)
    if not path.is_dir():
        raise UserError(
            f"there are no features in {path}: no such folder", fix=f"slt extract-features MANIFEST --out {path}"
        )
    return FolderFeatures(path)
