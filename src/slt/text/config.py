"""Configuration of a SONAR text encoder and decoder in a bundle's card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slt.core.errors import UserError
from slt.text.languages import FLORES_200, check_languages


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """Shape of one Transformer stack; the defaults are the published size.

    Attributes:
        model_dim: width of the residual stream; for the encoder also the width of the sentence embedding.
        num_layers: Transformer layers.
        num_heads: attention heads per layer.
        ffn_inner_dim: inner width of the feed-forward networks.
        max_seq_len: maximum number of tokens, including special ones.
        dropout: probability on embeddings, attention and feed-forward networks, during training.
    """

    model_dim: int = 1024
    num_layers: int = 24
    num_heads: int = 16
    ffn_inner_dim: int = 8192
    max_seq_len: int = 512
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SonarTextConfig:
    """A SONAR text encoder and decoder that share a tokenizer; the defaults are the published ``basic`` pair.

    Attributes:
        encoder: text → embedding.
        decoder: embedding → text.
        languages: FLORES-200 codes. Their order determines the ids of the language tokens, as in the weights.
        patient: stop the beam search with ``slt.text.beam_stop`` instead of SONAR's criterion, which may lose long
            texts.
    """

    encoder: StackConfig = field(default_factory=StackConfig)
    decoder: StackConfig = field(default_factory=StackConfig)
    languages: tuple[str, ...] = FLORES_200
    patient: bool = False

    def __post_init__(self) -> None:
        mistakes = [*_stack_mistakes("encoder", self.encoder), *_stack_mistakes("decoder", self.decoder)]
        if not self.languages:
            mistakes.append("languages: found none, expected at least one")
        if not isinstance(self.patient, bool):
            mistakes.append(f"patient: found {self.patient!r}, expected true or false")
        if len(set(self.languages)) < len(self.languages):
            mistakes.append("languages: found duplicates, expected each once")
        _refuse(mistakes)
        check_languages(self.languages, FLORES_200)

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values for a card."""
        return {
            "encoder": dataclasses.asdict(self.encoder),
            "decoder": dataclasses.asdict(self.decoder),
            "languages": list(self.languages),
            "patient": self.patient,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SonarTextConfig:
        """Parse the output of ``to_json``; absent keys take their defaults.

        Raises:
            UserError: unknown keys, wrong types or impossible sizes; all are listed.
        """
        mistakes = _unknown("", values, cls)
        mistakes += _unknown("encoder.", values.get("encoder", {}), StackConfig)
        mistakes += _unknown("decoder.", values.get("decoder", {}), StackConfig)
        languages = values.get("languages", FLORES_200)
        if not isinstance(languages, (list, tuple)):
            mistakes.append(f"languages: found {languages!r}, expected a list")
        _refuse(mistakes)
        stacks = {name: StackConfig(**values.get(name, {})) for name in ("encoder", "decoder")}
        return cls(languages=tuple(languages), patient=values.get("patient", False), **stacks)


def _unknown(place: str, found: object, kind: type) -> list[str]:
    if not isinstance(found, Mapping):
        return [f"{place.rstrip('.')}: found {found!r}, expected settings by name"]
    known = {entry.name for entry in dataclasses.fields(kind)}
    return [f"{place}{key}: unknown setting" for key in found if key not in known]


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise UserError("bad SONAR text configuration: " + "; ".join(mistakes))


def _stack_mistakes(name: str, stack: StackConfig) -> list[str]:
    sizes = {key: value for key, value in dataclasses.asdict(stack).items() if key != "dropout"}
    mistakes = [
        f"{name}.{key}: found {value!r}, expected a positive integer"
        for key, value in sizes.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < 1
    ]
    if not isinstance(stack.dropout, (int, float)) or not 0 <= stack.dropout < 1:
        mistakes.append(f"{name}.dropout: found {stack.dropout!r}, expected a number in [0, 1)")
    if not mistakes and (stack.model_dim % 2 or stack.model_dim % stack.num_heads):
        expected = f"expected an even multiple of {stack.num_heads} heads"
        mistakes.append(f"{name}.model_dim: found {stack.model_dim}, {expected}")
    return mistakes
