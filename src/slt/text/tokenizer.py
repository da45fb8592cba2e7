"""Training the sentencepiece model that an NLLB tokenizer stands on."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from slt.errors import UserError


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

    sentences = [text for text in texts if text.strip()]
    if not sentences:
        raise UserError("no text to train a tokenizer on", fix="give at least one non-empty sentence")
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
        )
    except RuntimeError as error:
        raise UserError(
            f"cannot train a tokenizer of {vocab_size} pieces on {len(sentences)} sentences: {_last_line(error)}",
            fix="raise the vocabulary size above the number of different characters",
        ) from error
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
