"""Text decoders of transformers in a recipe: of published weights, of a bundle, or random."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn

from slt.assets.store import Bundle, find_bundle, is_bundle
from slt.assets.text_models import find_text_model
from slt.bundle.load import read_hf_config
from slt.core import log
from slt.core.errors import UserError
from slt.core.registry import T5_FAMILY
from slt.core.tensors import EncoderOutput
from slt.models.checkpoint import read_weights
from slt.models.fitting import load_strict
from slt.recipe.decoders import HfDecoder, MBartShape, T5Shape
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.folder import load_published, new_decoder, published_shape
from slt.text.hf.tokens import read_proto
from slt.train.decoders import DecodeLoss, Given
from slt.train.loader import Batch


def make_hf(recipe: HfDecoder, given: Given, *, text_encoder: bool = False) -> HfText:
    """Make a decoder of transformers and its bridge, of a folder, a bundle, or random; its text encoder if asked."""
    shape: dict[str, Any] = dataclasses.asdict(recipe.shape) if recipe.shape else {}
    config = HfTextConfig(
        kind=recipe.kind,
        feature_dim=given.output[recipe.source],
        source=recipe.source,
        languages=given.langs,
        dropout=recipe.dropout,
        text_encoder=text_encoder,
        prefix=recipe.prefix,
        bridge=recipe.bridge,
        model=shape,
    )
    return _start(recipe, config, given.texts)


def text_width(recipe: HfDecoder) -> int:
    """Return the width of a decoder of transformers, without loading it."""
    if recipe.weights is None:
        return (recipe.shape or (T5Shape() if recipe.kind in T5_FAMILY else MBartShape())).d_model
    if is_bundle(recipe.weights):
        return int(read_hf_config(find_bundle(recipe.weights)).model["d_model"])
    return int(published_shape(find_text_model(recipe.weights), recipe.kind)["d_model"])


def build_hf(recipe: HfDecoder, given: Given) -> tuple[nn.Module, DecodeLoss]:
    """Make a decoder of transformers to be trained: all of it, or the bridge alone."""
    text = make_hf(recipe, given).train()
    text.requires_grad_(True)
    text.model.requires_grad_(recipe.train == "full")
    if recipe.checkpointing:
        text.model.gradient_checkpointing_enable({"use_reentrant": False})

    def decode_loss(output: EncoderOutput, batch: Batch, *, label_smoothing: float = 0.0) -> tuple[Tensor, int]:
        return text.loss(output, batch.texts, batch.langs, label_smoothing=label_smoothing)

    return text, decode_loss


def _start(recipe: HfDecoder, config: HfTextConfig, texts: tuple[str, ...]) -> HfText:
    if recipe.weights is None:
        return new_decoder(texts, recipe.vocab_size, config)
    if is_bundle(recipe.weights):
        return _of_bundle(find_bundle(recipe.weights), config)
    return load_published(find_text_model(recipe.weights), config)


def _of_bundle(bundle: Bundle, config: HfTextConfig) -> HfText:
    """Take the decoder of a bundle, and its bridge where that reads what is given now.

    Raises:
        UserError: the bundle's decoder is of another kind.
    """
    card = bundle.card.decoder
    if card.kind != config.kind:
        raise UserError(f"decoder.weights {bundle.folder} has a {card.kind} text decoder, expected {config.kind}")
    before, source = read_hf_config(bundle), bundle.path(card.weights)
    text = HfText(
        dataclasses.replace(config, model=before.model, text_encoder=before.text_encoder),
        read_proto(bundle.path(card.tokenizer)),
    )
    weights = {name: value.clone() for name, value in read_weights(source).items()}  # to be trained, so not mapped
    if (before.feature_dim, before.source, before.bridge) != (config.feature_dim, config.source, config.bridge):
        log.warn(f"the bridge to the {config.kind} begins at random: the one of {bundle.folder} reads something else")
        weights |= {f"bridge.{name}": value for name, value in text.bridge.state_dict().items()}
    load_strict(text, weights, source=source)
    return text.float()
