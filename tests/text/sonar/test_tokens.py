from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from slt.core.errors import UserError
from slt.text.sonar.tokens import load_tokenizer

from ..conftest import SENTENCES


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.model").write_bytes(b"\x00\x01\x02")
    for name in ("torn.model", "absent.model"):
        with pytest.raises(UserError, match=f"{name} is not a readable sentencepiece model"):
            load_tokenizer(tmp_path / name, ["eng_Latn"])


def test_a_tokenizer_with_other_ids_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "other.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES["eng_Latn"]),
            model_writer=file,
            vocab_size=30,
            hard_vocab_limit=False,
            minloglevel=2,
            **{"unk_id": 2, "bos_id": 0, "eos_id": 1},
        )
    with pytest.raises(UserError, match="expected ids 0, 1 and 2"):
        load_tokenizer(tmp_path / "other.model", ["eng_Latn"])
