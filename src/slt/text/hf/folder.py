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
USELESS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""Stands in the first T5s' files; no T5 has it."""


def load_published(folder: Path, config: HfTextConfig) -> HfText:
    """Make a text decoder with the weights and the tokenizer of a folder, and a bridge at random; to be trained.

    Args:
        folder: with ``config.json``, weights, and a sentencepiece model or a ``tokenizer.json``.
        config: everything but the model's shape, which the folder says.

    Raises:
        UserError: the folder lacks something, holds another model, or weights that are not those of its configuration.
    """
    _, weights, tokenizer = files_of(folder, config.kind)
    shape = published_shape(folder, config.kind)
    proto = sentencepiece_of(tokenizer, config.kind) if tokenizer.name == TOKENIZER_AS_JSON else read_proto(tokenizer)
    try:
        text = build_empty(lambda: HfText(replace(config, model=shape), proto))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # transformers checks little
        raise UserError(
            f"{folder / CONFIG_NAME} describes no {config.kind} that can be built: {error!r}",
            fix="give the configuration that the model's authors publish beside the weights",
        ) from error
    own = {name: value.clone() for name, value in read_weights(weights).items()}  # to be trained, so not mapped
    not_needed = [USELESS] if config.text_encoder else [USELESS, "model.encoder.*"]
    load_strict(text.model, own, unused=not_needed, source=weights)
    text.bridge = make_bridge(text.config, text.width)
    return text.float()


def new_decoder(texts: Sequence[str], vocab_size: int, config: HfTextConfig) -> HfText:
    """Make a text decoder at random, with a tokenizer learnt from texts; seed torch before to get the same again.

    Args:
        texts: one sentence each.
        vocab_size: of the tokenizer, at most.
        config: everything but the size of the table of tokens, which follows.

    Raises:
        UserError: texts that no tokenizer can be learnt from.
    """
    proto = learn_tokenizer(texts, vocab_size, padding_first=config.kind == "t5")
    return HfText(replace(config, model={**config.model, "vocab_size": n_tokens(config.kind, proto)}), proto)


def files_of(folder: Path, kind: str) -> tuple[Path, Path, Path]:
    """Return where the configuration, the weights and the tokenizer of a published model lie.

    Raises:
        UserError: the folder lacks some.
    """
    wanted = ((CONFIG_NAME,), WEIGHTS_NAMES, (TOKENIZER_NAMES[kind], TOKENIZER_AS_JSON))
    found = [next((folder / name for name in names if (folder / name).is_file()), None) for names in wanted]
    missing = [" or ".join(names) for names, path in zip(wanted, found, strict=True) if path is None]
    config, weights, tokenizer = found
    if config is None or weights is None or tokenizer is None:
        raise UserError(
            f"{folder} is not the folder of a {kind} of transformers: it lacks {', '.join(missing)}",
            fix="put these files there as the model's authors publish them, the weights in one file",
        )
    return config, weights, tokenizer


def published_shape(folder: Path, kind: str) -> dict[str, Any]:
    """Return what of the ``config.json`` in a folder describes the model.

    Raises:
        UserError: it cannot be read, or is of another kind of model.
    """
    path = folder / CONFIG_NAME
    try:
        content = json.loads(path.read_text("utf-8"))
        found = content.get("model_type") if isinstance(content, dict) else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if found != kind:
        raise UserError(f"{path.parent} holds a model of the type {found!r}, expected {kind}")
    known = {*inspect.signature(SETTINGS[kind].__init__).parameters, "tie_word_embeddings"} - {"self", "kwargs"}
    return {name: value for name, value in content.items() if name in known}
