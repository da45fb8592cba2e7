"""Load a text decoder from a transformers folder: strictly and offline."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.models.mbart.configuration_mbart import MBartConfig
from transformers.models.t5.configuration_t5 import T5Config

from slt.core.errors import UserError
from slt.models.checkpoint import read_weights
from slt.models.fitting import build_empty, load_strict
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.model import make_bridge
from slt.text.hf.pieces import sentencepiece_of
from slt.text.hf.tokens import n_tokens, read_proto
from slt.text.tokenizer import learn_tokenizer

CONFIG_NAME = "config.json"
WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_NAMES = {"t5": "spiece.model", "mbart": "sentencepiece.bpe.model"}
TOKENIZER_AS_JSON = "tokenizer.json"
SETTINGS: Mapping[str, Any] = {"t5": T5Config, "mbart": MBartConfig}
UNUSED_T5_WEIGHT = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""Present in files of the first T5 models, but not used."""


def load_published(folder: Path, config: HfTextConfig) -> HfText:
    """Load the weights and tokenizer of a folder for training; the bridge is randomly initialised.

    Args:
        folder: folder with ``config.json``, weights, and a sentencepiece model or a ``tokenizer.json``.
        config: everything but the model's shape, which is read from the folder.

    Raises:
        UserError: files are missing, the folder holds another model, or weights and configuration do not match.
    """
    _, weights, tokenizer = files_of(folder, config.kind)
    shape = published_shape(folder, config.kind)
    proto = sentencepiece_of(tokenizer, config.kind) if tokenizer.name == TOKENIZER_AS_JSON else read_proto(tokenizer)
    try:
        text = build_empty(lambda: HfText(replace(config, model=shape), proto))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # not checked by transformers
        raise UserError(
            f"{folder / CONFIG_NAME} is not a valid {config.kind} configuration: {error!r}",
            fix="give the configuration published with the weights",
        ) from error
    own = {
        name: value.clone() for name, value in read_weights(weights).items()
    }  # copied from the memory map, for training
    ignored = [UNUSED_T5_WEIGHT] if config.text_encoder else [UNUSED_T5_WEIGHT, "model.encoder.*"]
    load_strict(text.model, own, unused=ignored, source=weights)
    text.bridge = make_bridge(text.config, text.width)
    return text.float()


def new_decoder(texts: Sequence[str], vocab_size: int, config: HfTextConfig) -> HfText:
    """Build a randomly initialised text decoder with a tokenizer trained on ``texts``; seed torch first.

    Args:
        texts: one sentence each.
        vocab_size: maximum number of sentencepiece pieces.
        config: everything but the vocabulary size.

    Raises:
        UserError: no tokenizer can be trained on the texts.
    """
    proto = learn_tokenizer(texts, vocab_size, padding_first=config.kind == "t5")
    return HfText(replace(config, model={**config.model, "vocab_size": n_tokens(config.kind, proto)}), proto)


def files_of(folder: Path, kind: str) -> tuple[Path, Path, Path]:
    """Return the paths of the configuration, weights and tokenizer of a published model.

    Raises:
        UserError: files are missing.
    """
    wanted = ((CONFIG_NAME,), WEIGHTS_NAMES, (TOKENIZER_NAMES[kind], TOKENIZER_AS_JSON))
    found = [next((folder / name for name in names if (folder / name).is_file()), None) for names in wanted]
    missing = [" or ".join(names) for names, path in zip(wanted, found, strict=True) if path is None]
    config, weights, tokenizer = found
    if config is None or weights is None or tokenizer is None:
        raise UserError(
            f"{folder} is not the folder of a {kind} of transformers: it lacks {', '.join(missing)}",
            fix="copy these files there as published, with the weights in one file",
        )
    return config, weights, tokenizer


def published_shape(folder: Path, kind: str) -> dict[str, Any]:
    """Return the model arguments in the ``config.json`` of a folder.

    Raises:
        UserError: it cannot be read, or describes another kind of model.
    """
    path = folder / CONFIG_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
        found = content.get("model_type") if isinstance(content, dict) else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if found != kind:
        raise UserError(f"{path.parent} holds a model of type {found!r}, expected {kind}")
    known = {*inspect.signature(SETTINGS[kind].__init__).parameters, "tie_word_embeddings"} - {"self", "kwargs"}
    return {name: value for name, value in content.items() if name in known}
