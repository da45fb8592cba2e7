"""The extractors by name."""

from __future__ import annotations

from collections.abc import Mapping

from slt.assets.store import DEMO, find_bundle
from slt.core.errors import UserError
from slt.core.registry import resolve
from slt.frontend.base import Extractor, Settings
from slt.frontend.streams import bundle_streams

KINDS: Mapping[str, str] = {
    "signhiera": "slt.frontend.signhiera:SignHieraExtractor",
    "keypoints": "slt.frontend.keypoints:KeypointExtractor",
    "siglip": "slt.frontend.siglip:SiglipExtractor",
    "timesformer": "slt.frontend.siglip:TimesformerExtractor",
}


def load_extractor(kind: str | None, settings: Settings) -> Extractor:
    """Make the extractor called ``kind``, None for that of the bundle that is named; loads its model.

    Raises:
        UserError: no such extractor, model, device, dtype or detector; a setting that this one has no use for; or a
            bundle that reads two streams, of which one must be chosen.
    """
    if kind is None:
        streams = bundle_streams(find_bundle(settings.model or DEMO).card)
        if len(streams) > 1:
            kinds = [stream.kind for stream in streams]
            raise UserError(
                f"the model {settings.model} reads two streams of features, {' and '.join(kinds)}: each has its store",
                fix=f"run it twice: with --extractor {kinds[0]}, and with --extractor {kinds[1]} and another --out",
            )
        kind = streams[0].kind
    extractor: Extractor = resolve(KINDS, kind, what="extractor")(settings)
    return extractor
