"""The header of a feature store: extractor, weights, width, dtype and geometry."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from slt.core.config import parse
from slt.core.errors import UserError

HEADER_NAME = "store.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """What holds for every clip of a store.

    Attributes:
        format: of the store itself.
        feature_dim: width of one feature vector.
        dtype: the numbers on disk, little-endian.
        extractor: what made the features, by name; None: not recorded.
        weights_sha256: of the extractor's weights; None: it has none, or not recorded.
        geometry: everything else that the numbers depend on: how videos are cropped and cut into windows, by name.
            Empty: not recorded.
    """

    format: int = FORMAT
    feature_dim: int
    dtype: Literal["float16", "bfloat16", "float32"]
    extractor: str | None = None
    weights_sha256: str | None = None
    geometry: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.feature_dim < 1:
            raise UserError(f"a feature vector has at least 1 number, not {self.feature_dim}")

    def check_fits(
        self,
        *,
        where: Path,
        fix: str,
        extractor: str | None = None,
        weights_sha256: str | None = None,
        geometry: Mapping[str, Any] | None = None,
        feature_dim: int | None = None,
    ) -> None:
        """Check that these are the wanted features. What is not recorded or not asked for is not compared.

        Args:
            where: the store, for the error.
            fix: the command that makes the features wanted.
            extractor: its name.
            weights_sha256: of its weights.
            geometry: whatever else the numbers depend on.
            feature_dim: the width.

        Raises:
            UserError: they are others; every difference is named.
        """
        wanted = {"extractor": extractor, "weights": weights_sha256, "width": feature_dim, **(geometry or {})}
        here = {
            "extractor": self.extractor,
            "weights": self.weights_sha256,
            "width": self.feature_dim,
            **self.geometry,
        }
        different = [
            f"{name} {_short(here[name])}, wanted {_short(value)}"
            for name, value in wanted.items()
            if value is not None and here.get(name) is not None and here[name] != value
        ]
        if different:
            raise UserError(f"the features in {where} do not match: {'; '.join(different)}", fix=fix)


def read_header(folder: Path) -> StoreHeader:
    """Read the header of the store in ``folder``.

    Raises:
        UserError: there is none, or it is not one.
    """
    path = folder / HEADER_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(
            f"{folder} is no feature store: cannot read {path}: {error.strerror}",
            fix="name the folder that slt extract-features or slt features import wrote",
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    # Before all else: the rest of another format says nothing.
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise UserError(
            f"{path} has the format {content.get('format')!r}; this version of slt reads format {FORMAT}",
            fix="use the version of slt that the store was made with, or a newer one",
        )
    return parse(StoreHeader, content, where=str(path))


def header_bytes(header: StoreHeader) -> bytes:
    """Return what ``read_header`` reads."""
    return (json.dumps(dataclasses.asdict(header), indent=2) + "\n").encode()


def _short(value: object) -> str:
    return f"{value:.12}" if isinstance(value, str) and len(value) == 64 else str(value)
