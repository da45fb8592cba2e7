from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from slt.core.errors import UserError
from slt.text.tokenizer import train_tokenizer

TEXTS = ["the weather is nice today", "we go hiking in the mountains", "das Wetter ist heute schön", "  "] * 3


def test_a_tokenizer_has_the_default_ids_and_covers_every_character(tmp_path: Path) -> None:
    size = train_tokenizer(TEXTS, tmp_path / "t.model", 60)

    trained = sentencepiece.SentencePieceProcessor(str(tmp_path / "t.model"))
    assert size == trained.get_piece_size() <= 60
    assert (trained.unk_id(), trained.bos_id(), trained.eos_id(), trained.pad_id()) == (0, 1, 2, -1)
    for text in TEXTS:
        assert trained.unk_id() not in trained.encode(text)
        assert trained.decode(trained.encode(text)) == text.strip()


def test_equal_texts_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.model", "b.model"):
        train_tokenizer(iter(TEXTS), tmp_path / name, 60)

    assert (tmp_path / "a.model").read_bytes() == (tmp_path / "b.model").read_bytes()


def test_a_size_the_texts_cannot_fill_is_no_mistake(tmp_path: Path) -> None:
    assert train_tokenizer(TEXTS, tmp_path / "t.model", 5000) < 5000


@pytest.mark.parametrize(
    ("texts", "vocab_size", "message"),
    [
        ([], 60, "found no text to train a tokenizer on"),
        (["", "  "], 60, "found no text to train a tokenizer on"),
        (TEXTS, 5, "cannot train a tokenizer of 5 pieces on 9 sentences"),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path: Path, texts: list[str], vocab_size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_tokenizer(texts, tmp_path / "t.model", vocab_size)
    assert not (tmp_path / "t.model").exists()
