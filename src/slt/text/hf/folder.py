"""Load a text decoder from a transformers folder: strictly and offline."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import AutoConfig

from slt.core.errors import UserError
from slt.core.registry import T5_FAMILY
from slt.models.checkpoint import read_weights
from slt.models.fitting import build_empty, load_strict
from slt.text.hf.config import HfTextConfig
from slt.text.hf.decoder import HfText
from slt.text.hf.kinds import KINDS
from slt.text.hf.model import make_bridge
from slt.text.hf.pieces import sentencepiece_of
from slt.text.hf.tokens import ByT5Tokens, read_proto
from slt.text.tokenizer import learn_tokenizer

CONFIG_NAME = "config.json"
WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_AS_JSON = "tokenizer.json"
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
    _, weights, *_ = files_of(folder, config.kind)
    shape = published_shape(folder, config.kind)
    proto = published_pieces(folder, config.kind)
    try:
        text = build_empty(lambda: HfText(replace(config, model=shape), proto))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # not checked by transformers
        raise _not_a_configuration(folder / CONFIG_NAME, config.kind, error) from error
    own = {
        name: value.clone() for name, value in read_weights(weights).items()
    }  # copied from the memory map, for training
    load_strict(text.model, own, unused=unused_weights(config), source=weights)
    text.bridge = make_bridge(text.config, text.width)
    return text.float()


def unused_weights(config: HfTextConfig) -> list[str]:
    """Return patterns of weights that published files of a kind may have, and that the decoder does not use."""
    if config.kind in T5_FAMILY:
        return [UNUSED_T5_WEIGHT]
    positions = ["model.*.embed_positions.weights"] if config.kind == "nllb" else []  # computed, not learnt
    return positions if config.text_encoder else [*positions, "model.encoder.*"]


def new_decoder(texts: Sequence[str], vocab_size: int, config: HfTextConfig) -> HfText:
    """Build a randomly initialised text decoder with a tokenizer trained on ``texts``; seed torch first.

    Args:
        texts: one sentence each.
        vocab_size: maximum number of sentencepiece pieces.
        config: everything but the vocabulary size.

    Raises:
        UserError: no tokenizer can be trained on the texts.
    """
    kind, proto = KINDS[config.kind], ByT5Tokens.NO_PIECES
    if kind.tokenizer is not None:
        proto = learn_tokenizer(texts, vocab_size, padding_first=config.kind in T5_FAMILY)
    model = {**kind.defaults, **config.model, "vocab_size": kind.tokens.n_tokens(proto)}
    text = HfText(replace(config, model=model), proto)
    if config.kind in T5_FAMILY and not text.model.config.tie_word_embeddings:
        # transformers draws this layer with a deviation of 1, mT5's authors with that of all their layers: logits
        # begin some ten times too large then, and AdamW takes thousands of updates to shrink them.
        text.model.lm_head.weight.data.mul_(text.width**-0.5)
    return text


def files_of(folder: Path, kind: str) -> tuple[Path, ...]:
    """Return the paths of the configuration and weights of a published model, and of its tokenizer if it has one.

    Raises:
        UserError: files are missing.
    """
    return _find(folder, kind, (CONFIG_NAME,), WEIGHTS_NAMES, *_tokenizer_names(kind))


def published_pieces(folder: Path, kind: str) -> bytes:
    """Return the serialised sentencepiece model in a folder; of a ByT5, what stands in for it.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    found = _find(folder, kind, *_tokenizer_names(kind))
    if not found:
        return ByT5Tokens.NO_PIECES
    return sentencepiece_of(found[0], kind) if found[0].name == TOKENIZER_AS_JSON else read_proto(found[0])


def _tokenizer_names(kind: str) -> tuple[tuple[str, ...], ...]:
    name = KINDS[kind].tokenizer
    return ((name, TOKENIZER_AS_JSON),) if name else ()


def _find(folder: Path, kind: str, *wanted: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the first file of each group of names that is in a folder."""
    found = [next((folder / name for name in names if (folder / name).is_file()), None) for names in wanted]
    if missing := [" or ".join(names) for names, path in zip(wanted, found, strict=True) if path is None]:
        raise UserError(
            f"{folder} is not the folder of a {kind} of transformers: it lacks {', '.join(missing)}",
            fix="copy these files there as published, with the weights in one file",
        )
    return tuple(path for path in found if path)


def published_shape(folder: Path, kind: str) -> dict[str, Any]:
    """Return the model arguments in the ``config.json`` of a folder, every one of them.

    Raises:
        UserError: it cannot be read, or describes another kind of model.
    """
    path = folder / CONFIG_NAME
    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except OSError as error:
        raise UserError(f"{path} {'is not JSON' if path.is_file() else 'is not there'}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _not_a_configuration(path, kind, error) from error
    if settings.model_type != (expected := KINDS[kind].model_type):
        raise UserError(f"{path.parent} holds a model of type {settings.model_type!r}, expected {expected}")
    known = {*inspect.signature(type(settings).__init__).parameters, "tie_word_embeddings"} - {"self", "kwargs"}
    return {name: getattr(settings, name) for name in sorted(known) if hasattr(settings, name)}


def _not_a_configuration(path: Path, kind: str, error: Exception) -> UserError:
    return UserError(
        f"{path} is not a valid {kind} configuration: {type(error).__name__}, {error}",
        fix="give the configuration published with the weights",
    )
