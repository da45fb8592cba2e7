"""The models that the server offers, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slt.assets.published import PUBLISHED
from slt.assets.store import find_bundle, list_bundles
from slt.core.errors import UserError
from slt.core.registry import LETTERS
from slt.text.languages import LANGUAGE_NAMES
from slt.video.detect import POSE_FILE


@dataclass(frozen=True, kw_only=True)
class Offered:
    """One model.

    Attributes:
        name: what requests call it.
        source: what ``Translator`` takes: a name, or a folder.
        summary: one sentence on what it translates.
        licence: of its weights.
        languages: FLORES-200 codes.
        extractor: kind of its extractor.
        can_rerank: it can rank the texts of several readings and say how far to trust them.
        spells: it reads fingerspelling, letter by letter.
        reads_joints: of joints in a file it needs no pictures.
    """

    name: str
    source: str
    summary: str
    licence: str
    languages: tuple[str, ...]
    extractor: str
    can_rerank: bool
    spells: bool = False
    reads_joints: bool = False


def offered_models(names: Sequence[str]) -> dict[str, Offered]:
    """Return the models of these names or folders; none named: all that are here.

    Raises:
        UserError: no such model, or none at all.
    """
    models = [_offered(name) for name in names or list_bundles()]
    if not models:
        raise UserError("no model is here", fix="make one: slt demo --train, or fetch one: slt models fetch sonar-asl")
    return {model.name: model for model in models}


def _offered(name: str) -> Offered:
    if name in PUBLISHED and name not in list_bundles():
        about = PUBLISHED[name]
        return Offered(
            name=name,
            source=name,
            summary=about.summary,
            licence=about.licence,
            languages=tuple(LANGUAGE_NAMES),
            extractor="signhiera",
            can_rerank=False,
        )
    card = find_bundle(name).card
    return Offered(
        name=name if name in list_bundles() else card.name,
        source=name,
        summary=card.summary,
        licence=card.licence,
        languages=card.languages,
        extractor=card.extractor.kind,
        can_rerank=card.decoder.kind == "sonar" and bool(card.decoder.text_encoder),
        spells=card.decoder.kind == LETTERS,
        reads_joints=card.extractor.kind == "keypoints" or card.preprocess.detector == POSE_FILE,
    )
