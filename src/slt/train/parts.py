"""Build the models of a recipe, from bundles or at random, and freeze what it freezes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from slt.assets.cards import CARD_NAME
from slt.assets.store import find_bundle, is_bundle
from slt.core import log
from slt.core.config import parse
from slt.core.errors import SltError, UserError
from slt.core.registry import ENCODERS, resolve
from slt.core.runs import Run
from slt.core.tensors import FeatureBatch
from slt.models.checkpoint import read_metadata, read_weights
from slt.models.config import FusionConfig, MlpConfig
from slt.models.fitting import load_model, load_strict, rename
from slt.models.signhiera import SignHiera, normalise
from slt.recipe.extractors import SignHieraExtractor
from slt.recipe.parts import Encoder, SonarT5Encoder
from slt.recipe.schema import Recipe
from slt.train.decoders import DECODERS, DecodeLoss, Given, reads_sentence
from slt.train.extractors import choose_extractor
from slt.train.loader import WindowBatch
from slt.train.lora import add_adapters, hold_in_half

DTYPES: Mapping[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision of a recipe → what autocast computes in."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The models of a training.

    Attributes:
        extractor: windows to features; None when features come from a store.
        encoder: features to embedding; None when only text is learnt from.
        decoder: embedding to text; None when nothing is decoded.
        decode_loss: through the decoder.
    """

    extractor: nn.Module | None
    encoder: nn.Module | None
    decoder: nn.Module | None
    decode_loss: DecodeLoss


@dataclass(frozen=True, kw_only=True)
class Widths:
    """What the data decides of the models' shapes.

    Attributes:
        feature_dim: of the features.
        visual_dim: of their second stream; 0: there is none.
        target_dim: of the target embeddings; 0: there are none.
        target_length: their mean Euclidean length.
        texts: those that are trained on, for a tokenizer to be learnt from.
    """

    feature_dim: int
    visual_dim: int
    target_dim: int
    target_length: float
    texts: tuple[str, ...] = ()


def build_parts(recipe: Recipe, widths: Widths, *, from_video: bool) -> Parts:
    """Build the models of a recipe; everything random follows from its seed.

    Raises:
        UserError: a bundle or weights that are not there or do not fit.
    """
    torch.manual_seed(recipe.trainer.seed)
    own = recipe.extractor
    extractor = build_extractor(own) if isinstance(own, SignHieraExtractor) and from_video else None
    encoder = build_encoder(recipe.encoder, widths) if recipe.encoder else None
    if encoder is not None and not reads_sentence(recipe):
        leave_alone(encoder)
    hold_frozen(recipe, extractor, encoder)  # before the decoder comes, so that both are never here in float32
    given = Given(output=output_widths(encoder), texts=widths.texts, langs=recipe.data.langs)
    build = resolve(DECODERS, recipe.decoder.kind, what="text decoder")
    decoder, decode_loss = (None, _nothing) if recipe.aligns else build(recipe.decoder, given)
    hold_frozen(recipe, decoder)
    return Parts(extractor=extractor, encoder=encoder, decoder=decoder, decode_loss=decode_loss)


def hold_frozen(recipe: Recipe, *parts: nn.Module | None) -> None:
    """Hold what is not trained of parts as the recipe says."""
    if recipe.trainer.frozen_weights == "half":
        for part in parts:
            if part is not None:
                hold_in_half(part, cast(torch.dtype, DTYPES[recipe.trainer.precision]))


def _nothing(*_: Any, **__: Any) -> tuple[Tensor, int]:
    raise SltError("nothing is decoded here")


def build_extractor(recipe: SignHieraExtractor) -> SignHiera:
    """Load a bundle's extractor; the first share of its blocks, and what comes before them, stay as they are."""
    chosen = choose_extractor(recipe)
    config = parse(SignHiera.Config, chosen.card.config, where="the extractor's card")
    model = load_model(SignHiera, config, cast(Path, chosen.weights))
    n_frozen = round(recipe.frozen * len(model.blocks))
    model.requires_grad_(False)
    for block in model.blocks[n_frozen:]:
        block.requires_grad_(True)
    if n_frozen == 0:
        model.requires_grad_(True)
    model.grad_checkpointing = recipe.checkpointing and recipe.frozen < 1
    return model


def build_encoder(recipe: Encoder, widths: Widths) -> nn.Module:
    """Build a sign encoder as wide as the data."""
    kind = resolve(ENCODERS, recipe.kind, what="encoder")
    fixed: dict[str, Any] = {"feature_dim": widths.feature_dim}
    if kind.Config is FusionConfig:
        fixed["visual_dim"] = widths.visual_dim
    start = start_of(recipe)
    shape = {**(start.shape if start else {}), **recipe.shape}
    if widths.target_dim:
        fixed["output_dim"] = widths.target_dim
        if kind.Config is MlpConfig and "length" not in shape:
            fixed["length"] = widths.target_length
    config = parse(kind.Config, shape | fixed, where="the encoder's shape")
    if not widths.target_dim and not recipe.weights:  # nothing says how wide its embeddings are to be
        config = dataclasses.replace(config, output_dim=getattr(config, "d_model", None) or config.hidden_dim)
    model: nn.Module = kind(config)
    if start:
        _fill(model, start.path)
    if recipe.frozen:
        model.requires_grad_(False)
    if isinstance(recipe, SonarT5Encoder) and recipe.lora_rank:
        add_adapters(model, recipe.lora_layers, rank=recipe.lora_rank, alpha=recipe.lora_alpha)
    if getattr(recipe, "checkpointing", False):
        recompute(model)
    return model


def recompute(model: nn.Module) -> None:
    """Enable gradient checkpointing in each layer."""
    for layer in outermost_layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def outermost_layers(part: nn.Module) -> Iterator[nn.Module]:
    """Yield the members of a part's outermost lists of modules."""
    for child in part.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from child
        else:
            yield from outermost_layers(child)


def output_widths(encoder: nn.Module | None) -> dict[str, int]:
    """Return the widths of an encoder's states and of its sentence embeddings, by what a decoder calls its source."""
    if encoder is None:
        return {}
    config: Any = encoder.config
    states = getattr(config, "d_model", config.output_dim)
    return {"sequence": states, "sentence": config.output_dim or states}


def leave_alone(encoder: nn.Module) -> None:
    """Freeze what an encoder makes sentence embeddings with, and nothing else, where nobody reads them."""
    for name in getattr(encoder, "SENTENCE_ONLY", ()):
        encoder.get_submodule(name).requires_grad_(False)


def extract(extractor: nn.Module, windows: WindowBatch, *, at_once: int) -> FeatureBatch:
    """Turn the windows of B clips into their features, a few windows at a time."""
    rows: list[Tensor] = []
    for start in range(0, len(windows.pixels), at_once):
        part = slice(start, start + at_once)
        rows += extractor(normalise(windows.pixels[part]), windows.padding[part]).clips()
    clips, first = [], 0
    for n_windows in windows.per_clip:
        clips.append(torch.cat(rows[first : first + n_windows]))
        first += n_windows
    return FeatureBatch.of(clips)


def is_trained(module: nn.Module) -> bool:
    """Return whether any of a module's weights are."""
    return any(weight.requires_grad for weight in module.parameters())


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where an encoder's first weights lie.

    Attributes:
        path: their file.
        licence: of them, as far as it is known.
        sha256: of their file; None: nothing beside it says.
        kind: the encoder's; None: nothing beside the file says.
        shape: its sizes, where they stand beside it.
    """

    path: Path
    licence: str
    sha256: str | None = None
    kind: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)


def start_of(recipe: Encoder) -> Start | None:
    """Return what ``weights`` names; None: the encoder begins at random.

    Raises:
        UserError: there is no such thing, or it holds an encoder of another kind or shape.
    """
    if recipe.weights is None:
        return None
    start = _find_start(recipe.weights)
    if start.kind not in (None, recipe.kind):
        raise UserError(f"encoder.weights {recipe.weights} is a {start.kind}, but encoder.kind is {recipe.kind}")
    sizes = {name: size for name, size in recipe.shape.items() if name != "dropout_rate"}
    wrong = [name for name, size in sizes.items() if start.shape.get(name, size) != size]
    if wrong:
        raise UserError(
            f"encoder.weights {recipe.weights} has another shape: "
            + ", ".join(f"{name} {start.shape[name]} and not {sizes[name]}" for name in wrong),
            fix="remove encoder.shape: such weights have their own",
        )
    return start


def _find_start(weights: str) -> Start:
    """Find a file, a run that trained an encoder alone, or a bundle.

    Raises:
        UserError: there is no such thing, or none yet.
    """
    path = Path(weights).expanduser()
    if path.is_file() and path.name != CARD_NAME:
        return Start(path=path, licence=f"unknown (began with {path.name})")
    run = Run(folder=path)
    if run.encoder.is_file() and not (path / CARD_NAME).is_file():
        notes = read_metadata(run.encoder)
        licence = notes.get("licence", f"unknown (began with the run {path.name})")
        return Start(path=run.encoder, licence=licence, kind=notes["kind"], shape=notes["config"])
    if run.recipe.is_file() and not is_bundle(path):
        raise UserError(
            f"encoder.weights {weights} is a run that left no encoder, or not yet",
            fix=f"one that was stopped goes on with --resume {weights}",
        )
    if not path.exists() and not is_bundle(weights):
        raise UserError(
            f"encoder.weights {weights}: there is no such file or run, and no bundle of that name",
            fix="where a first phase makes it, train that first",
        )
    bundle = find_bundle(weights)
    card = bundle.card.encoder
    return Start(
        path=bundle.path(card.weights),
        licence=bundle.card.licence,
        sha256=bundle.card.sha256.get(card.weights),
        kind=card.kind,
        shape=card.config,
    )


def _fill(model: nn.Module, path: Path) -> None:
    """Put weights of a file into an encoder; what the data made another width begins at random, and that is said."""
    own = model.state_dict()
    weights = rename(read_weights(path), model.OLD_NAMES)  # type: ignore[arg-type]
    new = [name for name, value in weights.items() if name in own and own[name].shape != value.shape]
    at_borders = [name for name in new if name.startswith(model.INPUT_OUTPUT_LAYERS)]  # type: ignore[arg-type]
    if at_borders:
        log.warn(f"{', '.join(at_borders)} begin at random: {path} has them for another width")
    kept = {name: value.clone() for name, value in weights.items() if name not in at_borders}
    load_strict(
        model,
        kept,
        optional=at_borders,
        unused=model.UNUSED_WEIGHTS,  # type: ignore[arg-type]
        source=path,
    )
    model.float()


def describe(parts: Parts) -> dict[str, Any]:
    """Return the configuration of each part that has one, for a card."""
    named = {"extractor": parts.extractor, "encoder": parts.encoder}
    return {name: dataclasses.asdict(part.config) for name, part in named.items() if part is not None}  # type: ignore[call-overload]
