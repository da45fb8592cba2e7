"""Build the text decoder of a recipe: SONAR from a bundle; one of transformers from published or random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from slt.assets.cards import sha256_of
from slt.assets.store import Bundle, find_bundle, is_bundle
from slt.assets.text_models import find_text_model, licence_of
from slt.bundle.load import read_hf_config
from slt.core import log
from slt.core.errors import UserError
from slt.core.registry import DECODERS as REGISTERED
from slt.core.registry import SONAR, T5_FAMILY
from slt.core.tensors import EncoderOutput
from slt.models.checkpoint import read_weights
from slt.models.fitting import load_strict
from slt.recipe.decoders import HfDecoder, MBartShape, SonarDecoder, T5Shape
from slt.recipe.schema import Recipe
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.folder import files_of, load_published, new_decoder, published_shape
from slt.text.hf.tokens import MBART_LANGUAGES, read_proto
from slt.text.languages import FLORES_200, check_languages
from slt.train.loader import Batch
from slt.train.lora import add_lora

DecodeLoss = Callable[..., tuple[Tensor, int]]
"""(encoder output, batch, label_smoothing=…) to the cross entropy summed over tokens, and their number."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What decides a decoder beside its part of the recipe.

    Attributes:
        output: widths of what the encoder returns: "sequence" and "sentence"; empty without an encoder.
        texts: those that are trained on.
        langs: of the recipe's data.
    """

    output: Mapping[str, int]
    texts: tuple[str, ...]
    langs: tuple[str, ...]


def text_bundle(recipe: Recipe) -> Bundle | None:
    """Return the bundle whose SONAR text models a recipe uses; None: its decoder is of another kind.

    Raises:
        UserError: there is no such bundle, or it has other text models.
    """
    return _sonar_bundle(recipe.decoder) if isinstance(recipe.decoder, SonarDecoder) else None


def check_decoder(recipe: Recipe) -> None:
    """Check that a recipe's decoder is there, as far as that can be seen at once, and writes the recipe's languages.

    Raises:
        UserError: it is not, or does not.
    """
    decoder, bundle = recipe.decoder, text_bundle(recipe)
    known = tuple(MBART_LANGUAGES) if decoder.kind == "mbart" else FLORES_200
    check_languages(recipe.data.langs, bundle.card.languages if bundle else known)
    if isinstance(decoder, HfDecoder) and decoder.weights and not is_bundle(decoder.weights):
        files_of(find_text_model(decoder.weights), decoder.kind)


def reads_sentence(recipe: Recipe) -> bool:
    """Return whether anything that is learnt depends on the encoder's sentence embeddings, not on its states alone."""
    by_states = getattr(recipe.decoder, "source", "sentence") == "sequence"
    return not (by_states and recipe.objective.kind == "cross-entropy")


def text_files(decoder: HfDecoder) -> dict[str, str]:
    """Return the hashes of the files that a decoder begins with, by name; none where it begins at random."""
    if decoder.weights is None:
        return {}
    if is_bundle(decoder.weights):
        return dict(find_bundle(decoder.weights).card.sha256)
    return {path.name: sha256_of(path) for path in files_of(find_text_model(decoder.weights), decoder.kind)}


def text_licence(recipe: Recipe) -> str | None:
    """Return the licence of the text decoder's first weights; None where they were random."""
    decoder = recipe.decoder
    name = decoder.bundle if isinstance(decoder, SonarDecoder) else decoder.weights
    if name is None:
        return None
    return find_bundle(name).card.licence if is_bundle(name) else licence_of(name)


def build_sonar(recipe: SonarDecoder, given: Given) -> tuple[nn.Module, DecodeLoss]:
    """Load a bundle's text decoder, frozen, with adapters, or to be trained whole."""
    bundle = _sonar_bundle(recipe)
    card = bundle.card.decoder
    config = SonarTextConfig.from_json({**card.config, "languages": bundle.card.languages})
    text = sonar_text(recipe.engine).load(config, read_weights(bundle.path(card.weights)), bundle.path(card.tokenizer))
    text.float()
    text.requires_grad_(recipe.train == "full")
    if recipe.train == "lora":
        add_lora(
            text.decoder,
            recipe.lora_layers,
            rank=recipe.lora_rank,
            alpha=recipe.lora_alpha,
            stored_name=lambda name: text.stored_name("decoder", name),
        )

    def decode_loss(output: EncoderOutput, batch: Batch, *, label_smoothing: float = 0.0) -> tuple[Tensor, int]:
        return text.loss(output.sentence, batch.texts, batch.langs, label_smoothing=label_smoothing)

    return text, decode_loss


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


DECODERS: Mapping[str, Callable[[Any, Given], tuple[nn.Module, DecodeLoss]]] = {
    kind: build_sonar if kind == SONAR else build_hf for kind in REGISTERED
}


def _sonar_bundle(recipe: SonarDecoder) -> Bundle:
    bundle = find_bundle(recipe.bundle)
    if (found := bundle.card.decoder.kind) != recipe.kind:
        raise UserError(
            f"decoder.bundle {recipe.bundle} has a {found} text decoder, expected {recipe.kind}",
            fix=f"decoder: {{kind: {found}, weights: {recipe.bundle}}} and slt train-translator go on with it",
        )
    return bundle


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
