"""A recipe's extractor: its card and its weights' file for the bundle to be, and the features that are learnt from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from slt.assets.cards import ExtractorCard, PreprocessCard, sha256_of
from slt.assets.store import Bundle, find_bundle, is_bundle
from slt.core.config import parse
from slt.core.errors import UserError
from slt.frontend.streams import FRAMES, Stream, streams_of
from slt.models.config import KEYPOINTS_DIM
from slt.models.pictures import weights_of
from slt.models.siglip import SiglipConfig, siglip_config
from slt.models.signhiera import SignHieraConfig
from slt.recipe.extractors import Extractor, KeypointExtractor, KeypointSiglipExtractor, SiglipExtractor
from slt.recipe.load import plain

WithSiglip: TypeAlias = SiglipExtractor | KeypointSiglipExtractor


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An extractor, found and looked at.

    Attributes:
        card: as it will stand in the bundle's card, but for the file.
        preprocess: how it takes videos.
        weights: the file of its weights; None: it has none.
        sha256: of that file.
        licence: of the weights; None: there are none.
        origin: what the recipe names: a bundle, a folder; None: nothing.
        widths: of each stream of its features.
    """

    card: ExtractorCard
    preprocess: PreprocessCard
    weights: Path | None = None
    sha256: str | None = None
    licence: str | None = None
    origin: str | None = None
    widths: tuple[int, ...]

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The features it makes, in the order in which encoders take them."""
        found = streams_of(self.card, self.preprocess, self.sha256)
        # A recipe has no word for another detector than its bundle's, so windows cut with one are taken.
        return tuple(dataclasses.replace(one, geometry={}) if one.kind == "signhiera" else one for one in found)

    def command(self, stream: Stream, manifest: str) -> str:
        """Return the command that makes the features of one stream."""
        kind = f" --extractor {stream.kind}" if stream.kind != "signhiera" else ""
        model = f" --model {self.origin}" if self.origin and stream.kind != "keypoints" else ""
        detector = f" --detector {self.preprocess.detector}" if stream.kind == "siglip" else ""
        return f"slt extract-features {manifest}{kind}{model}{detector} --out DIR"


def choose_extractor(recipe: Extractor) -> Chosen:
    """Find what a recipe calls its extractor.

    Raises:
        UserError: no such bundle or folder, or it holds something else.
    """
    if isinstance(recipe, KeypointExtractor):
        card = ExtractorCard(kind=recipe.kind, config={}, weights=None)
        return Chosen(card=card, preprocess=FRAMES[recipe.kind], widths=(KEYPOINTS_DIM,))
    if isinstance(recipe, WithSiglip):
        return _with_siglip(recipe)
    bundle = find_bundle(recipe.bundle)
    if (kind := bundle.card.extractor.kind) != recipe.kind:
        raise UserError(
            f"the extractor of {bundle.card.name} is {kind}, expected {recipe.kind}",
            fix=f"give the recipe extractor.kind {kind}, or another bundle",
        )
    return of_bundle(bundle)


def of_bundle(bundle: Bundle) -> Chosen:
    """Return the extractor of a bundle, whatever its kind."""
    card = bundle.card.extractor
    return Chosen(
        card=card,
        preprocess=bundle.card.preprocess,
        weights=bundle.path(card.weights) if card.weights else None,
        sha256=bundle.card.sha256.get(card.weights) if card.weights else None,
        licence=bundle.card.licence if card.weights else None,
        origin=str(bundle.folder),
        widths=_widths(bundle),
    )


def _widths(bundle: Bundle) -> tuple[int, ...]:
    card, where = bundle.card.extractor, f"the extractor in the card of {bundle.card.name}"
    if card.kind == "keypoints":
        return (KEYPOINTS_DIM,)
    if card.kind == "signhiera":
        return (parse(SignHieraConfig, card.config, where=where).feature_dim,)
    pictures = parse(SiglipConfig, card.config, where=where).feature_dim
    return (KEYPOINTS_DIM, pictures) if card.kind == "keypoints+siglip" else (pictures,)


def _with_siglip(recipe: WithSiglip) -> Chosen:
    if is_bundle(recipe.model):
        bundle = find_bundle(recipe.model)
        own = bundle.card.extractor
        if "siglip" not in own.kind or own.weights is None:
            raise UserError(
                f"the bundle {bundle.card.name} has no SigLIP", fix="give extractor.model the folder of one"
            )
        config = parse(SiglipConfig, own.config, where=f"the extractor in the card of {bundle.card.name}")
        weights, sha256 = bundle.path(own.weights), bundle.card.sha256.get(own.weights)
        licence = bundle.card.licence
    else:
        folder = Path(recipe.model).expanduser()
        config, weights = siglip_config(folder), weights_of(folder)
        licence = f"unknown (of the SigLIP {folder.name})"
        sha256 = sha256_of(weights)
    as_json: dict[str, Any] = plain(dataclasses.asdict(config))
    both = recipe.kind == "keypoints+siglip"
    return Chosen(
        card=ExtractorCard(kind=recipe.kind, config=as_json, weights=weights.name),
        preprocess=dataclasses.replace(FRAMES[recipe.kind], detector=recipe.detector),
        weights=weights,
        sha256=sha256,
        licence=licence,
        origin=recipe.model,
        widths=(KEYPOINTS_DIM, config.feature_dim) if both else (config.feature_dim,),
    )
