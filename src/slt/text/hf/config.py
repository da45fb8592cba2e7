"""Configuration of a transformers text decoder in a bundle's card; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slt.core.errors import UserError
from slt.text.languages import FLORES_200, check_languages


@dataclass(frozen=True, kw_only=True)
class HfTextConfig:
    """A T5 or mBART that writes, and the bridge over which a sign encoder's output reaches it.

    Attributes:
        kind: whose architecture.
        feature_dim: width of what the bridge reads.
        source: what it reads: an encoder's states, one per time step, or its sentence embedding alone.
        languages: FLORES-200 codes of the languages it writes; a T5 has no sign for the language, so it writes one.
        dropout: probability of every dropout in the bridge and in the model, but for those of attention.
        text_encoder: of an mBART, keep its own encoder, which turns texts into embeddings; translating needs none.
            A T5 reads the bridge's output through its encoder, so it always has one.
        model: what transformers' ``T5Config`` or ``MBartConfig`` takes; absent keys have its defaults.

    Raises:
        UserError: impossible sizes, or unknown languages; every one is named.
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
            mistakes.append(f"languages {', '.join(self.languages)}, but a T5 writes one language")
        if mistakes:
            raise UserError(f"bad {self.kind} text decoder configuration: {'; '.join(mistakes)}")
        check_languages(self.languages, FLORES_200)
