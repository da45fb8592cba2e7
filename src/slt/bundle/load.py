"""Load the models of a bundle on a device, in a dtype."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from slt.assets.cards import BundleCard, DomainCard, EncoderCard, ExtractorCard, PreprocessCard
from slt.assets.store import Bundle, find_bundle
from slt.core.config import parse
from slt.core.device import choose_device, is_accelerator
from slt.core.errors import UserError
from slt.core.registry import DECODERS, ENCODERS, LETTERS, SONAR, T5_FAMILY, resolve
from slt.models.checkpoint import read_weights
from slt.models.cpu_kernels import use_cpu_kernels
from slt.models.fitting import build_model
from slt.models.half_precision import read_weights_as
from slt.models.out_of_domain import Domain
from slt.text.config import SonarTextConfig
from slt.text.decoder import TextDecoder
from slt.text.engines import FAIRSEQ2, sonar_text
from slt.text.hf.config import HfTextConfig
from slt.text.int8 import quantise
from slt.text.letters import LettersConfig
from slt.video.windows import WindowGeometry

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INT8 = "int8"
"""What the text decoder alone can have its weights in, on a CPU."""


@dataclass(frozen=True, kw_only=True)
class LoadedBundle:
    """The models of one bundle, ready to translate.

    Attributes:
        card: what the bundle says of itself.
        encoder: features to a sentence embedding.
        decoder: sentence embedding to text.
        domain: the features it was trained on, where that was noted.
    """

    card: BundleCard
    encoder: nn.Module
    decoder: TextDecoder
    domain: Domain | None


def load_bundle(
    name_or_path: str | Path,
    *,
    device: str = "auto",
    dtype: str = "float32",
    text_dtype: str | None = None,
    text_encoder: bool = False,
    text_engine: str | None = None,
) -> LoadedBundle:
    """Load the models of a bundle, every weight accounted for, to be used and not trained.

    Args:
        name_or_path: as for ``slt.assets.store.find_bundle``.
        device: "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1".
        dtype: "float32", "bfloat16" or "float16". On a CPU without instructions for it, half precision is that of the
            weights alone; ``docs/precision.md`` has what each costs and gains.
        text_dtype: the same for the text decoder, or "int8" on a CPU; None as ``dtype``.
        text_encoder: also load what turns text into embeddings, which translating does not need.
        text_engine: what computes SONAR's text models, see ``slt.text.engines.sonar_text``.

    Raises:
        UserError: no such bundle, device, dtype or text engine; a bundle that is not whole, or whose weights do not fit
            its card.
    """
    bundle = find_bundle(name_or_path)
    card = bundle.card
    where = choose_device(device)
    precision = choose_dtype(dtype)
    encoder = resolve(ENCODERS, card.encoder.kind, what="sign encoder")
    is_int8 = text_dtype == INT8
    if is_int8 and is_accelerator(where):
        raise UserError(f"{INT8} is for text on a CPU", fix="give bfloat16 on a GPU")
    text_precision = precision if is_int8 or text_dtype is None else choose_dtype(text_dtype, text=True)
    loaded = LoadedBundle(
        card=card,
        encoder=load_part(bundle, card.encoder, encoder, "sign encoder", where, dtype),
        decoder=_load_decoder(bundle, where, text_precision, text_encoder=text_encoder, text_engine=text_engine),
        domain=_load_domain(bundle, card.domain),
    )
    if not is_accelerator(where):
        use_cpu_kernels(cast(nn.Module, loaded.decoder))
    if is_int8:
        quantise(cast(nn.Module, loaded.decoder))
    return loaded


def load_part(
    bundle: Bundle, card: ExtractorCard | EncoderCard, kind: Any, what: str, device: torch.device, dtype: str
) -> nn.Module:
    """Load one model of a bundle, every weight accounted for, on a device and in a dtype, to be used and not trained.

    Args:
        bundle: whose.
        card: the model's.
        kind: its class, with a class of configuration ``Config``.
        what: it is, for errors.
        device: where to.
        dtype: as for ``load_bundle``.

    Raises:
        UserError: no such dtype, no weights, or weights that do not fit the card.
    """
    if card.weights is None:
        raise UserError(f"the {what} {card.kind} of {bundle.card.name} needs weights, found none in its card")
    config = parse(kind.Config, card.config, where=f"the {what} in the card of {bundle.card.name}")
    precision = choose_dtype(dtype)
    weights = read_weights_as(bundle, card.weights, precision)
    model = build_model(kind, config, weights, source=bundle.path(card.weights), dtype=precision)
    return place(model, device, dtype)


def place(model: nn.Module, device: torch.device, dtype: str) -> nn.Module:
    """Return a model on a device and in a dtype; arguments as for ``load_part``."""
    model = model.to(device, choose_dtype(dtype))
    if not is_accelerator(device):
        use_cpu_kernels(model)
    return model


def load_text(
    name_or_path: str | Path, *, device: str = "auto", dtype: str = "float32", text_engine: str | None = None
) -> tuple[BundleCard, TextDecoder]:
    """Load the text models of a bundle alone, with what turns texts into embeddings; arguments as for ``load_bundle``.

    Raises:
        UserError: as for ``load_bundle``; or the bundle has no text encoder of SONAR's.
    """
    bundle = find_bundle(name_or_path)
    if (kind := bundle.card.decoder.kind) != SONAR:
        raise UserError(
            f"the bundle {bundle.card.name} writes with {kind}; embedding texts needs SONAR's text models",
            fix="take a bundle whose text decoder is SONAR's",
        )
    if bundle.card.decoder.text_encoder is None:
        raise UserError(
            f"the bundle {bundle.card.name} has no text encoder, which turns texts into embeddings",
            fix="slt models fetch NAME --with-text-encoder, then slt models import --name NAME",
        )
    where = choose_device(device)
    text = _load_decoder(bundle, where, choose_dtype(dtype), text_encoder=True, text_engine=text_engine)
    if not is_accelerator(where):
        use_cpu_kernels(cast(nn.Module, text))
    return bundle.card, text


def window_geometry(preprocess: PreprocessCard) -> WindowGeometry:
    """Return how a card wants videos cut into windows."""
    return WindowGeometry(
        num_frames=preprocess.num_frames,
        sampling_rate=preprocess.sampling_rate,
        target_fps=preprocess.target_fps,
        stride_frames=preprocess.stride_frames,
    )


def choose_dtype(name: str, *, text: bool = False) -> torch.dtype:
    """Return the dtype that ``name`` means; ``text`` for the text decoder's, which may also be ``INT8``.

    Raises:
        UserError: no dtype is called that.
    """
    if name not in DTYPES:
        raise UserError(f"unknown dtype {name!r}; expected {', '.join(DTYPES)}" + f", and {INT8} for text" * text)
    return DTYPES[name]


def read_letters_config(bundle: Bundle) -> LettersConfig:
    """Return the configuration of a bundle's text decoder of letters."""
    where = f"the text decoder in the card of {bundle.card.name}"
    return parse(LettersConfig, {**bundle.card.decoder.config, "languages": bundle.card.languages}, where=where)


def read_hf_config(bundle: Bundle) -> HfTextConfig:
    """Return the configuration of a bundle's text decoder of transformers."""
    where = f"the text decoder in the card of {bundle.card.name}"
    return parse(HfTextConfig, {**bundle.card.decoder.config, "languages": bundle.card.languages}, where=where)


def _load_decoder(
    bundle: Bundle, device: torch.device, dtype: torch.dtype, *, text_encoder: bool, text_engine: str | None
) -> TextDecoder:
    card = bundle.card.decoder
    decoder: TextDecoder
    if card.kind != SONAR:
        kind = resolve(DECODERS, card.kind, what="text decoder")
        if text_engine == FAIRSEQ2:
            raise UserError(
                f"the text engine fairseq2 is for SONAR's text models, but {bundle.card.name} writes with {card.kind}",
                fix="remove --text-engine",
            )
        if card.kind in T5_FAMILY and dtype == torch.float16:
            raise UserError(
                f"float16 for a {card.kind}'s text: its feed-forward layers exceed float16's 65,504",
                fix="give --text-dtype bfloat16 or float32",
            )
        weights = read_weights_as(bundle, card.weights, dtype)
        config = read_letters_config(bundle) if card.kind == LETTERS else read_hf_config(bundle)
        decoder = kind.load(config, weights, bundle.path(card.tokenizer), device=device, dtype=dtype)
        return decoder
    sonar = SonarTextConfig.from_json({**card.config, "languages": bundle.card.languages})
    encoder_file = card.text_encoder if text_encoder else None
    decoder = sonar_text(text_engine).load(
        sonar,
        read_weights_as(bundle, card.weights, dtype),
        bundle.path(card.tokenizer),
        read_weights_as(bundle, encoder_file, dtype) if encoder_file else None,
        device=device,
        dtype=dtype,
    )
    return decoder


def _load_domain(bundle: Bundle, card: DomainCard | None) -> Domain | None:
    return None if card is None else Domain(**read_weights(bundle.path(card.weights)))
