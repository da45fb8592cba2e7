"""Rebuild the sentencepiece model of a ``tokenizer.json``, for folders without one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from slt.core.errors import UserError

TABLE_BEGINS: Mapping[str, tuple[str, ...]] = {
    "t5": ("<pad>", "</s>", "<unk>"),
    "mbart": ("<s>", "<pad>", "</s>", "<unk>"),
}
PIECES_BEGIN: Mapping[str, tuple[str, ...]] = {"t5": ("<pad>", "</s>", "<unk>"), "mbart": ("<unk>", "<s>", "</s>")}


def sentencepiece_of(path: Path, kind: str) -> bytes:
    """Put together the sentencepiece model that a T5's or mBART's ``tokenizer.json`` holds, as its file would have it.

    Raises:
        UserError: it cannot be read, or is of another kind of tokenizer.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from error
    try:
        return _put_together(content, kind)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not the tokenizer of a {kind}: it has no pieces with scores behind {TABLE_BEGINS[kind]}",
            fix="give the sentencepiece model that the model's authors publish beside it",
        ) from error


def _put_together(content: Mapping[str, Any], kind: str) -> bytes:
    messages: Any = import_module("sentencepiece.sentencepiece_model_pb2")
    table = [(str(piece), float(score)) for piece, score in content["model"]["vocab"]]
    begins = TABLE_BEGINS[kind]
    if tuple(piece for piece, _ in table[: len(begins)]) != begins:
        raise ValueError("its table begins otherwise")
    added = {one["content"] for one in content["added_tokens"] if one["special"]}
    while table[-1][0] in added:  # languages, a mask, T5's sentinels: they stand behind the pieces
        table.pop()
    proto = messages.ModelProto()
    kinds = proto.SentencePiece
    for piece in PIECES_BEGIN[kind]:
        proto.pieces.add(piece=piece, score=0.0, type=kinds.UNKNOWN if piece == "<unk>" else kinds.CONTROL)
    for piece, score in table[len(begins) :]:
        proto.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    proto.normalizer_spec.precompiled_charsmap = _charsmap(content["normalizer"])
    proto.normalizer_spec.add_dummy_prefix = _is_prefixed(content["pre_tokenizer"])
    return bytes(proto.SerializeToString())


def _charsmap(normalizer: Any) -> bytes:
    """Return which characters are replaced by which others; empty: none is."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    found = [step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled"]
    return base64.b64decode(found[0] or "", validate=True) if found else b""


def _is_prefixed(splitter: Mapping[str, Any]) -> bool:
    """Return whether a text's first word has the sign of a word's beginning too."""
    steps = splitter.get("pretokenizers", [splitter])
    (marks,) = [step for step in steps if step["type"] == "Metaspace"]
    return bool(marks.get("add_prefix_space", True)) and marks.get("prepend_scheme", "always") != "never"
