"""Configuration of a transformers text decoder in a bundle's card; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slt.core.errors import UserError
from slt.text.languages import FLORES_200, check_languages


@dataclass(frozen=True, kw_only=True)
class HfTextConfig:
    """Configuration of a T5 or mBART decoder and of the bridge from the sign encoder.

    Attributes:
        kind: architecture.
        feature_dim: input width of the bridge.
        source: input of the bridge: the encoder's states, one per time step, or its sentence embedding.
        languages: FLORES-200 codes of the output languages; exactly one for T5, which has no language tokens.
        dropout: probability of every dropout in bridge and model except in attention.
        text_encoder: keep mBART's own text encoder, which is not needed for translation. T5 always has one, because
            the bridge's output passes through it.
        model: arguments of transformers' ``T5Config`` or ``MBartConfig``; absent keys take its defaults.

    Raises:
        UserError: impossible sizes or unknown languages; all are listed.
    """

    kind: Literal["t5", "mbart"]
    feature_dim: int
    source: Literal["sequence", "sentence"] = "sequence"
    languages: tuple[str, ...]
    dropout: float = 0.1
    text_encoder: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mistakes = [f"feature_dim {self.feature_dim}, expected at least 1"] if self.feature_dim < 1 else []
        if not 0 <= self.dropout < 1:
            mistakes.append(f"dropout {self.dropout}, expected 0 or more, less than 1")
        if not self.languages or len(set(self.languages)) < len(self.languages):
            mistakes.append(f"languages {', '.join(self.languages) or 'absent'}, expected at least one, each once")
        if self.kind == "t5" and len(self.languages) > 1:
            mistakes.append(f"languages {', '.join(self.languages)}, expected one for T5")
        if mistakes:
            raise UserError(f"bad {self.kind} text decoder configuration: {'; '.join(mistakes)}")
        check_languages(self.languages, FLORES_200)
