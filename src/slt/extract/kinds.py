"""The extractors by name."""

from __future__ import annotations

from collections.abc import Mapping

from slt.extract.base import Extractor, Settings
from slt.registry import resolve

KINDS: Mapping[str, str] = {
    "signhiera": "slt.extract.signhiera:SignHieraExtractor",
    "keypoints": "slt.extract.keypoints:KeypointExtractor",
    "siglip": "slt.extract.frames:SiglipExtractor",
    "timesformer": "slt.extract.frames:TimesformerExtractor",
}


def load_extractor(kind: str, settings: Settings) -> Extractor:
    """Make the extractor called ``kind``; loads its model.

    Raises:
        UserError: no such extractor, model, device, dtype or detector; or a setting that this one has no use for.
    """
    extractor: Extractor = resolve(KINDS, kind, what="extractor")(settings)
    return extractor
