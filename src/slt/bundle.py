"""A bundle's files become models, on a device, in a dtype."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from slt.assets.cards import BundleCard, DomainCard, ExtractorCard, PreprocessCard
from slt.assets.store import Bundle, find_bundle
from slt.config import parse
from slt.errors import UserError
from slt.models.checkpoint import load_model, read_weights
from slt.models.domain import Domain
from slt.registry import DECODERS, ENCODERS, EXTRACTORS, resolve
from slt.text.config import SonarTextConfig
from slt.text.decoder import TextDecoder
from slt.video.windows import WindowGeometry

if TYPE_CHECKING:
    from slt.assets.cards import EncoderCard

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class LoadedBundle:
    """The models of one bundle, ready to translate.

    Attributes:
        card: what the bundle says of itself.
        geometry: how it wants videos cut into windows.
        extractor: windows to features.
        encoder: features to a sentence embedding.
        decoder: sentence embedding to text.
        domain: the features it was trained on, where that was noted.
    """

    card: BundleCard
    geometry: WindowGeometry
    extractor: nn.Module
    encoder: nn.Module
    decoder: TextDecoder
    domain: Domain | None


def load_bundle(
    name_or_path: str | Path, *, device: str = "auto", dtype: str = "float32", text_encoder: bool = False
) -> LoadedBundle:
    """Load the models of a bundle, every weight accounted for.

    Args:
        name_or_path: as for ``slt.assets.store.find_bundle``.
        device: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or, on a GPU, "float16".
        text_encoder: also load what turns text into embeddings, which translating does not need.

    Raises:
        UserError: no such bundle, device or dtype; a bundle that is not whole, or whose weights do not fit its card.
    """
    bundle = find_bundle(name_or_path)
    card = bundle.card
    place = choose_device(device)
    precision = choose_dtype(dtype, place)
    return LoadedBundle(
        card=card,
        geometry=window_geometry(card.preprocess),
        extractor=_load_part(bundle, card.extractor, EXTRACTORS, "extractor").to(place, precision),
        encoder=_load_part(bundle, card.encoder, ENCODERS, "sign encoder").to(place, precision),
        decoder=_load_decoder(bundle, place, precision, text_encoder=text_encoder),
        domain=_load_domain(bundle, card.domain),
    )


def load_extractor(
    name_or_path: str | Path, *, device: str = "auto", dtype: str = "float32"
) -> tuple[BundleCard, nn.Module]:
    """Load the extractor of a bundle alone; arguments and errors as for ``load_bundle``."""
    bundle = find_bundle(name_or_path)
    place = choose_device(device)
    precision = choose_dtype(dtype, place)
    return bundle.card, _load_part(bundle, bundle.card.extractor, EXTRACTORS, "extractor").to(place, precision)


def load_text(
    name_or_path: str | Path, *, device: str = "auto", dtype: str = "float32"
) -> tuple[BundleCard, TextDecoder]:
    """Load the text models of a bundle alone, with what turns texts into embeddings; arguments as for ``load_bundle``.

    Raises:
        UserError: as for ``load_bundle``; or the bundle has no text encoder.
    """
    bundle = find_bundle(name_or_path)
    if bundle.card.decoder.text_encoder is None:
        raise UserError(
            f"the bundle {bundle.card.name} has no text encoder, which turns texts into embeddings",
            fix="slt models fetch NAME --with-text-encoder, then slt models import --name NAME",
        )
    place = choose_device(device)
    return bundle.card, _load_decoder(bundle, place, choose_dtype(dtype, place), text_encoder=True)


def window_geometry(preprocess: PreprocessCard) -> WindowGeometry:
    """Return how a card wants videos cut into windows."""
    return WindowGeometry(
        num_frames=preprocess.num_frames,
        sampling_rate=preprocess.sampling_rate,
        target_fps=preprocess.target_fps,
        stride_frames=preprocess.stride_frames,
    )


def choose_device(name: str) -> torch.device:
    """Return the device that ``name`` means.

    Raises:
        UserError: no device is called that, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or name == kind):
        raise UserError(f"unknown device {name!r}; expected auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UserError(
            f"{name} was asked for, but torch sees {torch.cuda.device_count()} GPUs here",
            fix="leave --device away to use what there is; `slt doctor` says why a GPU is not seen",
        )
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype that ``name`` means.

    Raises:
        UserError: no dtype is called that, or it is of no use on this device.
    """
    if name not in DTYPES:
        raise UserError(f"unknown dtype {name!r}; expected {', '.join(DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise UserError("float16 is of no use on a CPU", fix="give --dtype bfloat16, or leave it away")
    return DTYPES[name]


def _load_part(bundle: Bundle, card: ExtractorCard | EncoderCard, table: Any, what: str) -> nn.Module:
    kind = resolve(table, card.kind, what=what)
    config = parse(kind.Config, card.config, where=f"the {what} in the card of {bundle.card.name}")
    return load_model(kind, config, bundle.path(card.weights))


def _load_decoder(bundle: Bundle, device: torch.device, dtype: torch.dtype, *, text_encoder: bool) -> TextDecoder:
    card = bundle.card.decoder
    config = SonarTextConfig.from_json({**card.config, "languages": bundle.card.languages})
    encoder_file = card.text_encoder if text_encoder else None
    decoder: TextDecoder = resolve(DECODERS, card.kind, what="text decoder").load(
        config,
        read_weights(bundle.path(card.weights)),
        bundle.path(card.tokenizer),
        read_weights(bundle.path(encoder_file)) if encoder_file else None,
        device=device,
        dtype=dtype,
    )
    return decoder


def _load_domain(bundle: Bundle, card: DomainCard | None) -> Domain | None:
    return None if card is None else Domain(**read_weights(bundle.path(card.weights)))
