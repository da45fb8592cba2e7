"""The text decoder of a recipe: what it begins with, and SONAR's, built from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from slt.assets.cards import sha256_of
from slt.assets.store import Bundle, find_bundle, is_bundle
from slt.assets.text_models import find_text_model, licence_of
from slt.core.errors import UserError
from slt.core.registry import DECODERS as REGISTERED
from slt.core.registry import LETTERS, SONAR
from slt.core.tensors import EncoderOutput
from slt.models.checkpoint import read_weights
from slt.recipe.decoders import HfDecoder, SonarDecoder
from slt.recipe.schema import Recipe
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.text.hf.tokens import MBART_LANGUAGES
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
        from slt.text.hf.folder import files_of

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
    from slt.text.hf.folder import files_of

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


DECODERS: Mapping[str, str] = {
    kind: "slt.train.decoders:build_sonar" if kind == SONAR else "slt.train.hf_decoders:build_hf"
    for kind in REGISTERED
    if kind != LETTERS  # trained by slt demo --train fingerspelling, not by recipes
}
"""What builds each kind: (its part of the recipe, ``Given``) to the decoder and its ``DecodeLoss``."""


def _sonar_bundle(recipe: SonarDecoder) -> Bundle:
    bundle = find_bundle(recipe.bundle)
    if (found := bundle.card.decoder.kind) != recipe.kind:
        raise UserError(
            f"decoder.bundle {recipe.bundle} has a {found} text decoder, expected {recipe.kind}",
            fix=f"decoder: {{kind: {found}, weights: {recipe.bundle}}} and slt train-translator go on with it",
        )
    return bundle
