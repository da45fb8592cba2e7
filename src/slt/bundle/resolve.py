"""Make a named model available: published models and models on the hub are fetched on first use."""

from __future__ import annotations

from pathlib import Path

from slt.assets.cards import BundleCard
from slt.assets.hub_fetch import find_or_fetch
from slt.assets.hub_names import parse_hub_name
from slt.assets.lock import folder_lock
from slt.assets.models import Progress, fetch_model
from slt.assets.published import PUBLISHED
from slt.assets.store import find_bundle, find_card, list_bundles
from slt.core import log
from slt.core.errors import UserError
from slt.core.home import slt_home
from slt.core.registry import SONAR
from slt.text.languages import LANGUAGE_NAMES


def make_available(name_or_path: str | Path, *, text_encoder: bool = False, progress: Progress | None = None) -> None:
    """Make a model available; fetch a published one or one on the hub, after showing its size and licence.

    A killed call is resumed by the next one. Of two processes, one waits.

    Args:
        name_or_path: as for ``slt.assets.store.find_bundle``; or a published name.
        text_encoder: the model must have what turns text into embeddings.
        progress: called with what is fetched and imported.

    Raises:
        UserError: ``SLT_OFFLINE`` forbids it, files that are not what they should be, or a model that is here but
            came without its text encoder.
        SltError: a server does not give a file, or the disk is full.
    """
    name = str(name_or_path)
    if hub := parse_hub_name(name):
        find_or_fetch(hub, progress)
    if name in PUBLISHED and name not in list_bundles() and not Path(name).is_dir():
        with folder_lock(slt_home() / "bundles"):
            if name not in list_bundles():  # whoever held the lock before may have made it
                log.say(f"the model {name} is not here yet; it is fetched and imported once")
                _fetch_and_import(name, text_encoder=text_encoder, progress=progress)
    if text_encoder and not (card := find_bundle(name_or_path).card).decoder.text_encoder:
        raise _without_text_encoder(name, card)


def languages_of(name_or_path: str | Path) -> tuple[str, ...]:
    """Return the languages a model writes, without fetching its weights.

    Raises:
        UserError: no such model.
    """
    name = str(name_or_path)
    if name in PUBLISHED and name not in list_bundles():
        return tuple(LANGUAGE_NAMES)
    return find_card(name_or_path).languages


def check_embeds(name_or_path: str | Path) -> None:
    """Check that the sentence embeddings a model makes of videos were taught anything.

    Raises:
        UserError: no such model, or one whose text decoder reads the sign encoder's states and never its embedding.
    """
    name = str(name_or_path)
    if name in PUBLISHED and name not in list_bundles():
        return
    decoder = find_card(name_or_path).decoder
    if decoder.kind != SONAR and decoder.config.get("source", "sequence") == "sequence":
        raise UserError(
            f"the model {name} has no embeddings of videos: its {decoder.kind} reads the sign encoder's states, one "
            "per time step, and what would make one embedding of them was never trained",
            fix="save its features instead, or take a model with SONAR's text decoder",
        )


def _fetch_and_import(name: str, *, text_encoder: bool, progress: Progress | None) -> None:
    from slt.bundle.convert import ImportConfig, find_sources, import_bundle

    fetch_model(name, text_encoder=text_encoder, progress=progress)
    config = ImportConfig(summary=PUBLISHED[name].summary, licence=PUBLISHED[name].licence)
    import_bundle(name, find_sources(), config, progress=progress)


def _without_text_encoder(name: str, card: BundleCard) -> UserError:
    if card.decoder.kind != SONAR:
        return UserError(
            f"the model {name} writes with {card.decoder.kind}; "
            "ranking texts and embedding them need SONAR's text models",
            fix="go without reranking, or take a model whose text decoder is SONAR's",
        )
    message = f"the model {name} came without a text encoder, which ranking texts and embedding them need"
    if name not in PUBLISHED:
        return UserError(message, fix="import it again with --text-encoder, or train it with one")
    again = f"slt models fetch {name} --with-text-encoder, slt models import --name {name}"
    return UserError(message, fix=f"remove its bundle, {slt_home() / 'bundles' / name}, then: {again}")
