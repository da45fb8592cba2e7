"""The text decoders from transformers by name: what each is made of, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers.models.m2m_100.configuration_m2m_100 import M2M100Config
from transformers.models.m2m_100.modeling_m2m_100 import M2M100ForConditionalGeneration
from transformers.models.mbart.configuration_mbart import MBartConfig
from transformers.models.mbart.modeling_mbart import MBartForConditionalGeneration
from transformers.models.mt5.configuration_mt5 import MT5Config
from transformers.models.mt5.modeling_mt5 import MT5ForConditionalGeneration
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

from slt.text.hf.tokens import ByT5Tokens, MBartTokens, NllbTokens, T5Tokens


@dataclass(frozen=True, kw_only=True)
class HfKind:
    """One kind of text decoder.

    Attributes:
        model_type: what transformers' ``config.json`` calls it.
        settings: transformers' class of its configuration.
        model: transformers' class of the model.
        tokens: class of its tokenizer, a ``slt.text.hf.tokens.Tokens``.
        tokenizer: file of its sentencepiece model as published; None: it has none.
        dropout: what its configuration calls dropout.
        defaults: arguments of its configuration where they differ from transformers' defaults, for new models.
    """

    model_type: str
    settings: type[Any]
    model: type[Any]
    tokens: type[Any]
    tokenizer: str | None
    dropout: str = "dropout"
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BPE = "sentencepiece.bpe.model"

KINDS: Mapping[str, HfKind] = {
    "t5": HfKind(
        model_type="t5",
        settings=T5Config,
        model=T5ForConditionalGeneration,
        tokens=T5Tokens,
        tokenizer="spiece.model",
        dropout="dropout_rate",
    ),
    "mt5": HfKind(
        model_type="mt5",
        settings=MT5Config,
        model=MT5ForConditionalGeneration,
        tokens=T5Tokens,
        tokenizer="spiece.model",
        dropout="dropout_rate",
    ),
    "byt5": HfKind(
        model_type="t5",
        settings=T5Config,
        model=T5ForConditionalGeneration,
        tokens=ByT5Tokens,
        tokenizer=None,
        dropout="dropout_rate",
        defaults={"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "mbart": HfKind(
        model_type="mbart",
        settings=MBartConfig,
        model=MBartForConditionalGeneration,
        tokens=MBartTokens,
        tokenizer=_BPE,
        defaults={"scale_embedding": True},
    ),
    "nllb": HfKind(
        model_type="m2m_100",
        settings=M2M100Config,
        model=M2M100ForConditionalGeneration,
        tokens=NllbTokens,
        tokenizer=_BPE,
        # A layer that is dropped has no gradient, which keeps several processes from training together.
        defaults={"encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "attention_dropout": 0.0},
    ),
}
