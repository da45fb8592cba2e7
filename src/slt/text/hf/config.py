"""Configuration of a transformers text decoder in a bundle's card; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slt.core.errors import UserError
from slt.core.registry import T5_FAMILY
from slt.text.languages import FLORES_200, check_languages


@dataclass(frozen=True, kw_only=True)
class HfTextConfig:
    """Configuration of a text decoder of transformers and of the bridge from the sign encoder.

    Attributes:
        kind: architecture.
        feature_dim: input width of the bridge.
        source: input of the bridge: the encoder's states, one per time step, or its sentence embedding.
        languages: FLORES-200 codes of the output languages; exactly one for the T5 family, which has no language
            tokens.
        dropout: probability of every dropout in bridge and model except in attention.
        text_encoder: keep the text encoder of an mBART or NLLB, which is not needed for translation. The T5 family
            always has one, because the bridge's output passes through it.
        prefix: text that a T5, mT5 or ByT5 reads before the clip.
        bridge: "normed" for the kind's own; "linear", a linear layer alone, as Uni-Sign has it.
        max_tokens: maximum number of tokens of a text; 0: limited by the clip's duration alone.
        model: arguments of the configuration class of transformers; absent keys take its defaults.

    Raises:
        UserError: impossible sizes or unknown languages; all are listed.
    """

    kind: Literal["t5", "mt5", "byt5", "mbart", "nllb"]
    feature_dim: int
    source: Literal["sequence", "sentence"] = "sequence"
    languages: tuple[str, ...]
    dropout: float = 0.1
    text_encoder: bool = False
    prefix: str = ""
    bridge: Literal["normed", "linear"] = "normed"
    max_tokens: int = 0
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mistakes = [f"feature_dim {self.feature_dim}, expected at least 1"] if self.feature_dim < 1 else []
        if not 0 <= self.dropout < 1:
            mistakes.append(f"dropout {self.dropout}, expected 0 or more, less than 1")
        if not self.languages or len(set(self.languages)) < len(self.languages):
            mistakes.append(f"languages {', '.join(self.languages) or 'absent'}, expected at least one, each once")
        if self.kind in T5_FAMILY and len(self.languages) > 1:
            mistakes.append(f"languages {', '.join(self.languages)}, expected one for {self.kind}")
        if self.prefix and self.kind not in T5_FAMILY:
            mistakes.append(f"prefix {self.prefix!r}, which only {', '.join(T5_FAMILY)} read")
        if self.max_tokens < 0:
            mistakes.append(f"max_tokens {self.max_tokens}, expected 0 or more")
        if mistakes:
            raise UserError(f"bad {self.kind} text decoder configuration: {'; '.join(mistakes)}")
        check_languages(self.languages, FLORES_200)
