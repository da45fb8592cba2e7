"""The space of a recipe's target embeddings: SONAR's, or that of a T5's or mBART's own text encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import torch

from slt.assets.cards import text_model_hash
from slt.assets.store import Bundle
from slt.core.device import CPU, accelerator
from slt.core.errors import UserError
from slt.models.checkpoint import read_weights
from slt.recipe.decoders import SonarDecoder
from slt.recipe.schema import Recipe
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.train.decoders import Given, text_bundle, text_files
from slt.train.targets import Embeds, TextSpace


def text_space(recipe: Recipe, texts: Sequence[str]) -> TextSpace | None:
    """Return the space of a recipe's targets; None: nothing is compared with embeddings of texts.

    Args:
        recipe: the recipe.
        texts: those that are trained on; a model that begins at random learns its tokenizer from them.
    """
    if bundle := text_bundle(recipe):
        return _sonar(bundle, cast(SonarDecoder, recipe.decoder).engine)
    return _own(recipe, tuple(texts)) if recipe.aligns else None


def _sonar(bundle: Bundle, engine: str | None) -> TextSpace:
    card = bundle.card
    config = SonarTextConfig.from_json({**card.decoder.config, "languages": card.languages})
    file = card.decoder.text_encoder
    sha256 = text_model_hash(card) if file else None

    def load() -> Embeds:
        if file is None or sha256 is None:
            raise UserError(
                f"the bundle {card.name} has no text encoder to make the targets with",
                fix="import it with one (the published: `slt models fetch sonar-asl --with-text-encoder` first), or "
                "give what `slt embed-text` made elsewhere: --set data.embeddings=DIR",
            )
        weights, own = (read_weights(bundle.path(name)) for name in (card.decoder.weights, file))
        return sonar_text(engine).load(config, weights, bundle.path(card.decoder.tokenizer), own, device=_device())

    return TextSpace(dim=config.encoder.model_dim, sha256=sha256, load=load)


def _own(recipe: Recipe, texts: tuple[str, ...]) -> TextSpace:
    """Return the space of a model of transformers; one that begins at random follows from seed, sizes and texts."""
    decoder, seed = recipe.decoder, recipe.trainer.seed
    if isinstance(decoder, SonarDecoder):
        raise ValueError("SONAR's space is that of a bundle")
    from slt.train import hf_decoders  # imports transformers, which SONAR's decoder does without

    origin: dict[str, Any] = dict(text_files(decoder)) or {"seed": seed, "decoder": asdict(decoder), "texts": texts}

    def load() -> Embeds:
        torch.manual_seed(seed)
        # No encoder is read here, so the bridge is never used.
        given = Given(output={"sequence": 1, "sentence": 1}, texts=texts, langs=recipe.data.langs)
        return hf_decoders.make_hf(decoder, given, text_encoder=True).to(_device()).eval()

    sha256 = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    return TextSpace(dim=hf_decoders.text_width(decoder), sha256=sha256, load=load)


def _device() -> str:
    return accelerator() or CPU
