"""Save trained weights as a bundle for `slt translate --model RUN`; untrained files are linked."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from slt.assets.cards import BundleCard, DecoderCard, DomainCard, EncoderCard, ExtractorCard, write_card
from slt.assets.hub_names import exact_name
from slt.assets.store import Bundle, find_bundle
from slt.core.errors import SltError
from slt.core.files import atomic_write, flush_to_disk, publish_folder
from slt.core.runs import ASSETS, Run
from slt.frontend.base import Frontend
from slt.models.checkpoint import read_weights, save_weights
from slt.models.out_of_domain import fit_domain
from slt.recipe.decoders import SonarDecoder
from slt.recipe.extractors import SignHieraExtractor
from slt.recipe.load import plain
from slt.recipe.schema import Recipe
from slt.text.sonar_text import SonarTextModel
from slt.train.decoders import text_bundle, text_licence
from slt.train.extractors import bundle_extractor, choose_extractor
from slt.train.lora import merge_lora
from slt.train.module import Training

if TYPE_CHECKING:  # imports transformers, which SONAR's decoder does without
    from slt.text.hf.decoder import HfText

OWN_LICENCE = "own (all of it began at random)"
FEWEST_FOR_DOMAIN = 5
WITH_DOMAIN = ("signhiera", "siglip")
"""Extractors whose features are one stream of numbers that are all there."""


def save_bundle(
    run: Run, module: Training, recipe: Recipe, known: list[Tensor], *, figures: Mapping[str, float]
) -> Path | None:
    """Write the bundle of a run, whole or not at all.

    Args:
        run: its folder.
        module: the parts, with the weights that are to be kept; adapters become part of them.
        recipe: where everything else comes from.
        known: features of clips that were not trained on, to tell foreign videos by; too few: no such description.
        figures: how it did, for the card.

    Returns:
        The bundle's folder; None when the recipe does not say what makes features of a video.
    """
    text = text_bundle(recipe)
    whole = find_bundle(recipe.extractor.bundle) if isinstance(recipe.extractor, SignHieraExtractor) else text
    if recipe.extractor is not None:
        chosen = choose_extractor(recipe.extractor)
    elif recipe.encoder is None and text is not None:
        chosen = bundle_extractor(text)
    else:
        return None
    draft = run.folder / ".bundle"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    domain = None
    if len(known) >= FEWEST_FOR_DOMAIN and chosen.card.kind in WITH_DOMAIN:
        save_weights(draft / "domain.safetensors", fit_domain(known))
        manifest = "/".join(Path(recipe.data.train.manifest).parts[-2:])  # the rest is nobody else's concern
        summary = f"it was trained as {recipe.name}, on {manifest}"
        domain = DomainCard(weights="domain.safetensors", summary=summary)
    card = BundleCard(
        name=recipe.name,
        summary=f"Trained by the recipe {recipe.name}.",
        licence=_all_of(chosen.licence, _encoder_licence(run), text_licence(recipe)),
        languages=text.card.languages if text else recipe.data.langs,
        preprocess=chosen.preprocess,
        extractor=_extractor(draft, module, chosen),
        encoder=_encoder(draft, module, recipe, whole),
        decoder=_sonar(draft, module, recipe, text) if text else _hf(draft, module, recipe),
        domain=domain,
        made={
            "by": "slt training",
            "recipe": plain(dataclasses.asdict(recipe)),
            "figures": {name: round(value, 6) for name, value in figures.items()},
            "made_of": _made_of(run, recipe, chosen),
        },
    )
    write_card(draft, card)
    shutil.rmtree(run.bundle, ignore_errors=True)
    publish_folder(draft, run.bundle)
    return run.bundle


def save_encoder(run: Run, module: Training, recipe: Recipe) -> Path:
    """Write the encoder of a run alone, with its kind and shape beside its weights; return the file."""
    if module.encoder is None or recipe.encoder is None:
        raise SltError("there is no encoder to be saved")
    config = plain(dataclasses.asdict(module.encoder.config))  # type: ignore[call-overload]
    notes = {"kind": recipe.encoder.kind, "config": config, "licence": _all_of(_encoder_licence(run))}
    save_weights(run.encoder, _whole_weights(module.encoder), notes)
    return run.encoder


def _made_of(run: Run, recipe: Recipe, chosen: Frontend) -> list[dict[str, str]]:
    """Return the models a run began with, each with the part it became and its licence."""
    decoder, extractor = recipe.decoder, recipe.extractor
    named = {
        "extractor": (getattr(extractor, "bundle", None) or getattr(extractor, "model", None), chosen.licence),
        "encoder": (recipe.encoder and recipe.encoder.weights, _encoder_licence(run)),
        "decoder": (decoder.bundle if isinstance(decoder, SonarDecoder) else decoder.weights, text_licence(recipe)),
    }
    return [
        {"part": part, "from": exact_name(name), "licence": licence}
        for part, (name, licence) in named.items()
        if name and licence
    ]


def _all_of(*licences: str | None) -> str:
    """Join licences, each told once; what began at random adds nothing to another's."""
    each = dict.fromkeys(part for one in licences if one for part in one.split(" AND "))
    each.pop(OWN_LICENCE, None)
    return " AND ".join(each) or OWN_LICENCE


def _encoder_licence(run: Run) -> str | None:
    """Return the licence of what a run's encoder began with, as noted then: it may be gone by now; None: at random."""
    noted = json.loads((run.folder / ASSETS).read_text("utf-8"))
    licence: str | None = noted.get("encoder", {}).get("licence")
    return licence


def _extractor(folder: Path, module: Training, chosen: Frontend) -> ExtractorCard:
    name = "extractor.safetensors"
    if module.extractor is not None:
        save_weights(folder / name, _float32(module.extractor.state_dict()))
        return dataclasses.replace(chosen.card, weights=name)
    if chosen.weights and chosen.weights.suffix != ".safetensors":  # a pickle that a transformers folder has
        save_weights(folder / name, read_weights(chosen.weights))
        return dataclasses.replace(chosen.card, weights=name)
    weights = link_file(chosen.weights, folder, name) if chosen.weights else None
    return dataclasses.replace(chosen.card, weights=weights)


def _encoder(folder: Path, module: Training, recipe: Recipe, whole: Bundle | None) -> EncoderCard:
    if module.encoder is None or recipe.encoder is None:
        bundle = cast(Bundle, whole)  # who trains no encoder names a bundle that has one
        card = bundle.card.encoder
        return dataclasses.replace(card, weights=_link(bundle, card.weights, folder, "encoder.safetensors"))
    save_weights(folder / "encoder.safetensors", _whole_weights(module.encoder))
    config: dict[str, Any] = plain(dataclasses.asdict(module.encoder.config))  # type: ignore[call-overload]
    return EncoderCard(kind=recipe.encoder.kind, config=config, weights="encoder.safetensors")


def _whole_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """Return an encoder's weights with its adapters in them, as they were validated."""
    merge_lora(encoder)
    return _float32(encoder.state_dict())


def _float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as files hold them; copies of what was held in half precision are made on the CPU."""
    return {
        name: value.to("cpu", torch.float32) if value.dtype in (torch.bfloat16, torch.float16) else value
        for name, value in weights.items()
    }


def _sonar(folder: Path, module: Training, recipe: Recipe, bundle: Bundle) -> DecoderCard:
    card = bundle.card.decoder
    encoder = card.text_encoder
    tokenizer = _link(bundle, card.tokenizer, folder, "tokenizer.model")
    text_encoder = _link(bundle, encoder, folder, "text_encoder.safetensors") if encoder else None
    if recipe.decoder.train == "frozen":
        weights = _link(bundle, card.weights, folder, "text_decoder.safetensors")
    else:
        text = cast(SonarTextModel, module.decoder)
        merge_lora(text)
        weights = "text_decoder.safetensors"
        save_weights(folder / weights, _float32(text.decoder_weights()))
    return dataclasses.replace(card, weights=weights, tokenizer=tokenizer, text_encoder=text_encoder)


def _hf(folder: Path, module: Training, recipe: Recipe) -> DecoderCard:
    text = cast("HfText", module.decoder)
    save_weights(folder / "text_decoder.safetensors", _float32(text.state_dict()))
    with atomic_write(folder / "tokenizer.model") as file:
        file.write(text.tokens.proto)
    config = {name: value for name, value in dataclasses.asdict(text.config).items() if name != "languages"}
    return DecoderCard(
        kind=recipe.decoder.kind, config=config, weights="text_decoder.safetensors", tokenizer="tokenizer.model"
    )


def _link(bundle: Bundle, file: str, folder: Path, name: str) -> str:
    """Link a file of a bundle into another: one copy on the disk where the file system can do that."""
    return link_file(bundle.path(file), folder, name)


def link_file(file: Path, folder: Path, name: str) -> str:
    """Link or copy a file into a folder as ``name`` with its own suffix; return its name there."""
    name = str(Path(name).with_suffix(file.suffix))
    source, target = file.resolve(), folder / name
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        flush_to_disk(target)
    return name
