"""The text decoders from transformers by name: what each is made of, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers.models.auto.configuration_auto import AutoConfig
from transformers.models.auto.modeling_auto import AutoModelForSeq2SeqLM

from slt.text.hf.tokens import ByT5Tokens, MBartTokens, NllbTokens, T5Tokens


@dataclass(frozen=True, kw_only=True)
class HfKind:
    """One kind of text decoder.

    Attributes:
        model_type: what transformers calls it, in ``config.json`` too.
        tokens: class of its tokenizer, a ``slt.text.hf.tokens.Tokens``.
        tokenizer: file of its sentencepiece model as published; None: it has none.
        dropout: what its configuration calls dropout.
        defaults: arguments of its configuration where they differ from transformers' defaults, for new models.
    """

    model_type: str
    tokens: type[Any]
    tokenizer: str | None
    dropout: str = "dropout"
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BPE = "sentencepiece.bpe.model"

KINDS: Mapping[str, HfKind] = {
    "t5": HfKind(
        model_type="t5",
        tokens=T5Tokens,
        tokenizer="spiece.model",
        dropout="dropout_rate",
    ),
    "mt5": HfKind(
        model_type="mt5",
        tokens=T5Tokens,
        tokenizer="spiece.model",
        dropout="dropout_rate",
    ),
    "byt5": HfKind(
        model_type="t5",
        tokens=ByT5Tokens,
        tokenizer=None,
        dropout="dropout_rate",
        defaults={"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "mbart": HfKind(
        model_type="mbart",
        tokens=MBartTokens,
        tokenizer=_BPE,
        defaults={"scale_embedding": True},
    ),
    "nllb": HfKind(
        model_type="m2m_100",
        tokens=NllbTokens,
        tokenizer=_BPE,
        # A layer that is dropped has no gradient, which keeps several processes from training together.
        defaults={"encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "attention_dropout": 0.0},
    ),
}


def new_model(kind: str, **settings: Any) -> Any:
    """Return transformers' model of a kind, randomly initialised, on torch's default device.

    Args:
        kind: a key of ``KINDS``.
        settings: of its configuration; absent ones are transformers' defaults.
    """
    return AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(KINDS[kind].model_type, **settings))
