"""Rebuild the sentencepiece model of a ``tokenizer.json``, for folders without one.

The file is not used as it is: read by transformers, it takes ``</s>`` in a sentence for the end token, and a damaged
one stops the process.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from slt.core.errors import UserError

VOCABULARY_START: Mapping[str, tuple[str, ...]] = {
    "t5": ("<pad>", "</s>", "<unk>"),
    "mbart": ("<s>", "<pad>", "</s>", "<unk>"),
}
PIECES_START: Mapping[str, tuple[str, ...]] = {"t5": ("<pad>", "</s>", "<unk>"), "mbart": ("<unk>", "<s>", "</s>")}
LIKE: Mapping[str, str] = {"mt5": "t5", "nllb": "mbart"}
"""Kinds whose vocabulary begins as another's."""


def sentencepiece_of(path: Path, kind: str) -> bytes:
    """Return the serialised sentencepiece model of a ``tokenizer.json``, of any kind that has pieces with scores.

    Raises:
        UserError: the file cannot be read, or holds another kind of tokenizer.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from error
    start_of = LIKE.get(kind, kind)
    try:
        return _build_proto(content, start_of)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not the tokenizer of a {kind}: found no pieces with scores after {VOCABULARY_START[start_of]}",
            fix="give the published sentencepiece model instead",
        ) from error


def _build_proto(content: Mapping[str, Any], kind: str) -> bytes:
    messages: Any = import_module("sentencepiece.sentencepiece_model_pb2")
    table = [(str(piece), float(score)) for piece, score in content["model"]["vocab"]]
    start = VOCABULARY_START[kind]
    if tuple(piece for piece, _ in table[: len(start)]) != start:
        raise ValueError("unexpected first entries of the vocabulary")
    added = {one["content"] for one in content["added_tokens"] if one["special"]}
    while table[-1][0] in added:  # languages, mask, T5's sentinels: they follow the pieces
        table.pop()
    proto = messages.ModelProto()
    kinds = proto.SentencePiece
    for piece in PIECES_START[kind]:
        proto.pieces.add(piece=piece, score=0.0, type=kinds.UNKNOWN if piece == "<unk>" else kinds.CONTROL)
    for piece, score in table[len(start) :]:
        proto.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    proto.normalizer_spec.precompiled_charsmap = _charsmap(content["normalizer"])
    proto.normalizer_spec.add_dummy_prefix = _is_prefixed(content["pre_tokenizer"])
    return bytes(proto.SerializeToString())


def _charsmap(normalizer: Any) -> bytes:
    """Return the character normalisation map; empty: no normalisation."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    found = [step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled"]
    return base64.b64decode(found[0] or "", validate=True) if found else b""


def _is_prefixed(splitter: Mapping[str, Any]) -> bool:
    """Return whether the first word of a text gets a word-start marker."""
    steps = splitter.get("pretokenizers", [splitter])
    (marker,) = [step for step in steps if step["type"] == "Metaspace"]
    return bool(marker.get("add_prefix_space", True)) and marker.get("prepend_scheme", "always") != "never"
