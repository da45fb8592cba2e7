"""The extractor of a recipe: its card and weights for the bundle, and the feature streams it needs."""

from __future__ import annotations

import dataclasses

from slt.assets.store import Bundle
from slt.frontend.base import Frontend, Settings
from slt.frontend.registry import make_frontend
from slt.frontend.streams import Stream
from slt.recipe.extractors import Extractor, KeypointExtractor, SignHieraExtractor, WholebodyExtractor


def choose_extractor(recipe: Extractor) -> Frontend:
    """Return the extractor of a recipe; its model is not loaded.

    Raises:
        UserError: no such bundle or folder, or it holds another extractor.
    """
    if isinstance(recipe, KeypointExtractor):
        return make_frontend(recipe.kind, Settings(skeleton=recipe.skeleton))
    if isinstance(recipe, WholebodyExtractor):
        return make_frontend(recipe.kind, Settings(detector=recipe.detector, skeleton=recipe.skeleton))
    if isinstance(recipe, SignHieraExtractor):
        return make_frontend(recipe.kind, Settings(model=recipe.bundle))
    return make_frontend(recipe.kind, Settings(model=recipe.model, detector=recipe.detector))


def bundle_extractor(bundle: Bundle) -> Frontend:
    """Return the extractor of a bundle; its model is not loaded."""
    return make_frontend(None, Settings(model=str(bundle.folder)))


def wanted_streams(frontend: Frontend) -> tuple[Stream, ...]:
    """Return the feature streams that an encoder may learn from, in the order in which it takes them."""
    # A recipe cannot name another detector than its bundle's, so windows cut with any detector are accepted.
    return tuple(dataclasses.replace(one, geometry={}) if one.kind == "signhiera" else one for one in frontend.streams)


def extract_command(frontend: Frontend, stream: Stream, manifest: str) -> str:
    """Return the command that makes the features of one stream."""
    kind = f" --extractor {stream.kind}" if stream.kind != "signhiera" else ""
    model = f" --model {frontend.settings.model}" if frontend.settings.model and not stream.has_gaps else ""
    detector = f" --detector {frontend.preprocess.detector}" if stream.kind in ("siglip", "wholebody") else ""
    skeleton = f" --skeleton {frontend.skeleton}" if "skeleton" in frontend.card.config else ""
    return f"slt extract-features {manifest}{kind}{model}{detector}{skeleton} --out DIR"
