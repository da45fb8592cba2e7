"""Train sentencepiece models."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slt.core.errors import UserError


def train_tokenizer(texts: Iterable[str], path: Path, vocab_size: int) -> int:
    """Train a unigram sentencepiece model and write it to ``path``; equal texts give equal bytes.

    Its ids are sentencepiece's defaults (0 unknown, 1 start, 2 end), without a padding symbol: fairseq2's NLLB
    tokenizer prepends padding and appends the languages, so the text model's vocabulary is larger.

    Args:
        texts: one sentence each; every character gets its own piece.
        path: output ``.model`` file.
        vocab_size: maximum number of pieces; fewer for small corpora.

    Returns:
        The number of pieces.

    Raises:
        UserError: no text, or a ``vocab_size`` smaller than the number of characters.
    """
    import sentencepiece

    proto = learn_tokenizer(texts, vocab_size)
    path.write_bytes(proto)
    return sentencepiece.SentencePieceProcessor(model_proto=proto).get_piece_size()


def learn_tokenizer(texts: Iterable[str], vocab_size: int, *, padding_first: bool = False) -> bytes:
    """Return the serialised sentencepiece model that ``train_tokenizer`` writes.

    Args:
        texts: as for ``train_tokenizer``.
        vocab_size: likewise.
        padding_first: give padding, end and unknown the ids 0 to 2, and no start token, as in T5.

    Raises:
        UserError: as for ``train_tokenizer``.
    """
    import sentencepiece

    sentences = [text for text in texts if text.strip()]
    if not sentences:
        raise UserError("found no text to train a tokenizer on", fix="give at least one non-empty sentence")
    ids: dict[str, Any] = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} if padding_first else {}
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocab_size,
            character_coverage=1.0,
            hard_vocab_limit=False,
            num_threads=1,  # with more, scores depend on thread scheduling
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
