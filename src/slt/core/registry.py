"""Tables of variants by name, ``name -> "module:attribute"``, imported on demand."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from slt.core.errors import UserError

FRONTENDS: Mapping[str, str] = {
    "signhiera": "slt.frontend.signhiera:SignHieraFrontend",
    "keypoints": "slt.frontend.keypoints:KeypointFrontend",
    "wholebody": "slt.frontend.wholebody:WholebodyFrontend",
    "siglip": "slt.frontend.siglip:SiglipFrontend",
    "timesformer": "slt.frontend.timesformer:TimesformerFrontend",
    "keypoints+siglip": "slt.frontend.combined:KeypointSiglipFrontend",
}
"""The extractors: each opens a clip, cuts it into inputs, and computes features."""

ENCODERS: Mapping[str, str] = {
    "sonar-t5": "slt.models.sonar_t5:SonarT5",
    "mlp": "slt.models.mlp:Mlp",
    "fusion": "slt.models.fusion:Fusion",
    "transformer": "slt.models.transformer:Transformer",
    "stgcn": "slt.models.stgcn:Stgcn",
    "spelling": "slt.models.spelling:Spelling",
}
SHAPES: Mapping[str, str] = {
    "sonar-t5": "slt.models.config:SonarT5Config",
    "mlp": "slt.models.config:MlpConfig",
    "fusion": "slt.models.config:FusionConfig",
    "transformer": "slt.models.config:TransformerConfig",
    "stgcn": "slt.models.config:StgcnConfig",
    "spelling": "slt.models.config:SpellingConfig",
}
"""What describes each encoder's shape, where that can be imported without torch."""
SONAR = "sonar"
"""The decoder of SONAR's space; others know nothing of it."""

LETTERS = "letters"
"""The decoder of fingerspelling, which writes letters by connectionist temporal classification."""

TEXT_ENGINES: Mapping[str, str] = {
    "fairseq2": "slt.text.sonar.model:SonarText",
    "transformers": "slt.text.m2m100.model:M2M100Text",
}
"""The libraries that compute SONAR's text models; the first is the reference."""

DECODERS: Mapping[str, str] = {
    SONAR: "slt.text.sonar_text:SonarTextModel",
    "t5": "slt.text.hf.decoder:HfText",
    "mt5": "slt.text.hf.decoder:HfText",
    "byt5": "slt.text.hf.decoder:HfText",
    "mbart": "slt.text.hf.decoder:HfText",
    "nllb": "slt.text.hf.decoder:HfText",
    LETTERS: "slt.text.letters:LetterText",
}
T5_FAMILY = ("t5", "mt5", "byt5")
"""Decoders whose own encoder reads the sign encoder's states, without language tokens, and that exceed float16."""


def resolve(table: Mapping[str, str], name: str, *, what: str) -> Any:
    """Import what ``name`` stands for in ``table``.

    Args:
        table: one of the tables of this module.
        name: a key of it.
        what: the name of the table's variants in the error ("extractor").

    Raises:
        UserError: no such name; the nearest known ones are given.
    """
    if name not in table:
        raise UserError(f"unknown {what} {name!r}; known: {', '.join(table)}", fix=did_you_mean(name, table))
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a "did you mean …?" for a misspelt name, or None when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else None
