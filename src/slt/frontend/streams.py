"""Feature streams: what an extractor makes, as the headers of feature stores describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from slt.assets.cards import BundleCard, PreprocessCard
from slt.core.registry import FRONTENDS, resolve
from slt.data.features.header import StoreHeader


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of features.

    Attributes:
        kind: the extractor that makes it, as ``slt extract-features --extractor`` names it.
        geometry: everything but the weights that its numbers depend on.
        weights_sha256: of the extractor's weights; None: it has none, or any will do.
        has_gaps: NaN stands where nothing was detected, and half precision would move the numbers.
    """

    kind: str
    geometry: Mapping[str, Any]
    weights_sha256: str | None = None
    has_gaps: bool = False

    @classmethod
    def of(cls, kind: str, preprocess: PreprocessCard, sha256: str | None) -> Stream:
        """Return the stream of an extractor whose numbers depend on all of ``preprocess``."""
        return cls(kind=kind, geometry=asdict(preprocess), weights_sha256=sha256)

    def header(self, feature_dim: int, dtype: str) -> StoreHeader:
        """Return the header of a store of this stream, computed in ``dtype``; stored in 16 bits unless it has gaps."""
        stored: Literal["float16", "bfloat16", "float32"] = "bfloat16" if dtype == "bfloat16" else "float16"
        return StoreHeader(
            feature_dim=feature_dim,
            dtype="float32" if self.has_gaps else stored,
            extractor=self.kind,
            weights_sha256=self.weights_sha256,
            geometry=dict(self.geometry),
        )

    def check(self, header: StoreHeader, *, where: Path, fix: str, feature_dim: int | None = None) -> None:
        """Check that a store holds this stream; what its header does not record is not compared.

        Args:
            header: the store's.
            where: the store, for the error.
            fix: the command that makes what is wanted.
            feature_dim: the expected width, where it is known.

        Raises:
            UserError: it holds other features; every difference is named.
        """
        header.check_fits(
            where=where,
            fix=fix,
            extractor=self.kind,
            weights_sha256=self.weights_sha256,
            geometry=self.geometry,
            feature_dim=feature_dim,
        )


def bundle_streams(card: BundleCard) -> tuple[Stream, ...]:
    """Return the streams that a bundle's extractor makes, in the order in which its sign encoder takes them."""
    kind = resolve(FRONTENDS, card.extractor.kind, what="extractor")
    weights = card.extractor.weights
    streams: tuple[Stream, ...] = kind.streams_of(
        card.extractor, card.preprocess, card.sha256.get(weights) if weights else None
    )
    return streams
