"""Train sentencepiece models."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slt.core.errors import UserError


def train_tokenizer(texts: Iterable[str], path: Path, vocab_size: int) -> int:
    """Train a unigram sentencepiece model and write it to ``path``; equal texts give equal bytes.

    Its ids are sentencepiece's defaults (0 unknown, 1 start, 2 end) and it has no padding symbol: fairseq2's NLLB
    tokenizer puts padding in front and the languages behind, so the model's vocabulary is larger than this one.

    Args:
        texts: one sentence each; every character that occurs gets a piece of its own.
        path: the ``.model`` file to write.
        vocab_size: pieces at most; fewer when the texts do not yield as many.

    Returns:
        The number of pieces it has.

    Raises:
        UserError: no text, or a ``vocab_size`` too small for the characters that occur.
    """
    import sentencepiece

    proto = learn_tokenizer(texts, vocab_size)
    path.write_bytes(proto)
    return sentencepiece.SentencePieceProcessor(model_proto=proto).get_piece_size()


def learn_tokenizer(texts: Iterable[str], vocab_size: int, *, padding_first: bool = False) -> bytes:
    """Train what ``train_tokenizer`` writes, and return it.

    Args:
        texts: see there.
        vocab_size: see there.
        padding_first: give padding, end and unknown the ids 0 to 2, as T5's has them, and a start none.

    Raises:
        UserError: see there.
    """
    import sentencepiece

    sentences = [text for text in texts if text.strip()]
    if not sentences:
        raise UserError("no text to train a tokenizer on", fix="give at least one non-empty sentence")
    ids: dict[str, Any] = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} if padding_first else {}
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocab_size,
            character_coverage=1.0,
            hard_vocab_limit=False,
            num_threads=1,  # with more, the pieces' scores depend on the scheduling
            minloglevel=2,
            **ids,
        )
    except RuntimeError as error:
        raise UserError(
            f"cannot train a tokenizer of {vocab_size} pieces on {len(sentences)} sentences: {_last_line(error)}",
            fix="raise the vocabulary size above the number of different characters",
        ) from error
    return model.getvalue()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
